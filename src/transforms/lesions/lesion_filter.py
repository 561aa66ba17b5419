"""Morphological clean-up: drop lesions that are too small, too long or too close to the edge of the brain."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import check_between
from ...lesions.properties import lesion_shapes


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
