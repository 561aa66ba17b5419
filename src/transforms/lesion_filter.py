"""Morphological clean-up: drop lesions that are too small, too long or too close to the edge of the brain."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
from scipy import ndimage
from scipy.spatial import cKDTree

from ..checks import check_between, check_one_channel, check_same_shape


@dataclass(frozen=True)
class LesionShapes:
    """What the clean-up looks at, (N,) float64 each, in the order of ``ids``, the values in the instance map.

    ``volume_mm3``; ``ellipticity``, 1 - shortest / longest axis of the ellipsoid with the same second moments, voxels
    being boxes, so 0 for a ball and towards 1 for a thread or a plate; ``edge_mm``, from the centroid's voxel to the
    nearest voxel outside the brain, NaN without a mask.
    """

    ids: torch.Tensor
    volume_mm3: torch.Tensor
    ellipticity: torch.Tensor
    edge_mm: torch.Tensor


def lesion_shapes(instances: torch.Tensor, affine: torch.Tensor, mask: torch.Tensor | None = None) -> LesionShapes:
    """Measure the lesions of an instance map.

    Args:
        instances: (1, H, W, D) whole numbers, 0 outside lesions.
        affine: (4, 4), voxel to mm.
        mask: (1, H, W, D), non-zero in the brain. Where the volume cuts through the brain is no edge.

    Raises:
        ValueError: ``instances`` is not one channel of a volume, or the mask has another shape.
    """
    check_one_channel(instances, "measure the lesions of")
    labels = convert_to_tensor(instances, track_meta=False)[0].cpu()
    axes_mm = torch.as_tensor(affine, dtype=torch.float64).cpu()[:3, :3]
    index = labels.nonzero()  # (V, 3)
    ids, row, voxels = labels[tuple(index.T)].unique(return_inverse=True, return_counts=True)
    centres = torch.zeros(len(ids), 3, dtype=torch.float64).index_add(0, row, index.double()) / voxels[:, None]
    offset_mm = (index - centres[row]) @ axes_mm.T  # (V, 3)
    moments = torch.zeros(len(ids), 9, dtype=torch.float64)
    moments.index_add_(0, row, (offset_mm[:, :, None] * offset_mm[:, None, :]).flatten(1))
    box = axes_mm @ axes_mm.T / 12  # second moments of a voxel about its own centre
    spread = torch.linalg.eigvalsh(moments.view(-1, 3, 3) / voxels[:, None, None] + box)  # ascending
    ellipticity = 1 - (spread[:, 0] / spread[:, 2]).sqrt()
    edge_mm = torch.full((len(ids),), torch.nan, dtype=torch.float64)
    if mask is not None:
        check_same_shape(instances, mask, "measure the lesions of")
        inside = convert_to_tensor(mask, track_meta=False)[0].numpy(force=True) != 0
        edge_mm = torch.from_numpy(edge_distance(inside, centres.round().long().numpy(), axes_mm.norm(dim=0).numpy()))
    return LesionShapes(ids, voxels * axes_mm.det().abs(), ellipticity, edge_mm)


def edge_distance(inside: np.ndarray, points: np.ndarray, size_mm: np.ndarray) -> np.ndarray:
    """Return the distance in mm of voxels to the nearest one outside, (N,): 0 for those outside, NaN where none is.

    A distance transform gives the same for all voxels of a scan, which takes seconds.

    Args:
        inside: the brain, (H, W, D) bool.
        points: voxels, (N, 3) whole numbers.
        size_mm: of a voxel, (3,).
    """
    border = np.argwhere(ndimage.binary_dilation(inside) & ~inside)  # the nearest one outside has a neighbour inside
    distance = cKDTree(border * size_mm).query(points * size_mm)[0] if len(border) else np.nan
    return np.where(inside[tuple(points.T)], distance, 0.0)


class LesionFilter(Transform):
    """Remove lesions that break a rule, after [1]_. ``None`` switches a rule off.

    Args:
        min_volume_mm3: smallest volume. Defaults to 2.5 mm3, as in the paper.
        max_ellipticity: largest ellipticity, see :class:`LesionShapes`. Defaults to 0.2, as in the paper, which does
            not say how it is measured.
        min_edge_mm: smallest distance from the edge of the brain mask. Defaults to 5 mm, as in the paper.

    Raises:
        ValueError: ``max_ellipticity`` lies outside [0, 1].

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.4.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, min_volume_mm3: float | None = 2.5, max_ellipticity: float | None = 0.2, min_edge_mm: float | None = 5.0
    ) -> None:
        if max_ellipticity is not None:
            check_between("max_ellipticity", max_ellipticity, 0, 1)
        self.min_volume_mm3 = min_volume_mm3
        self.max_ellipticity = max_ellipticity
        self.min_edge_mm = min_edge_mm

    def __call__(self, instances: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return (1, H, W, D) without the lesions that break a rule; the others keep their numbers.

        Sizes are in mm by the affine of ``instances``; without one, voxels are 1 mm. Without a mask, (1, H, W, D),
        the rule of the edge cannot be checked and nothing breaks it.
        """
        affine = instances.affine if isinstance(instances, MetaTensor) else torch.eye(4)
        shapes = lesion_shapes(instances, affine, mask if self.min_edge_mm is not None else None)
        broken = torch.zeros(len(shapes.ids), dtype=torch.bool)
        if self.min_volume_mm3 is not None:
            broken |= shapes.volume_mm3 < self.min_volume_mm3
        if self.max_ellipticity is not None:
            broken |= shapes.ellipticity > self.max_ellipticity
        if self.min_edge_mm is not None:
            broken |= shapes.edge_mm < self.min_edge_mm
        labels = convert_to_tensor(instances, track_meta=False)
        removed = torch.isin(labels, shapes.ids[broken].to(labels.device))
        return convert_to_dst_type(labels.masked_fill(removed, 0), instances)[0]


class LesionFilterd(MapTransform):
    """Dictionary version of :class:`LesionFilter`: same arguments, plus the keys to act on and that of the mask."""

    backend = LesionFilter.backend

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        min_volume_mm3: float | None = 2.5,
        max_ellipticity: float | None = 0.2,
        min_edge_mm: float | None = 5.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.filter = LesionFilter(min_volume_mm3, max_ellipticity, min_edge_mm)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Filter the instance map under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.filter(out[key], out.get(self.mask_key))
        return out
