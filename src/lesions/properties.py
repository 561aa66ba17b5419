"""Properties of the lesions of an instance map: volume, shape, distance from the edge of the brain."""

from dataclasses import dataclass

import numpy as np
import torch
from monai.utils import convert_to_tensor
from scipy import ndimage
from scipy.spatial import cKDTree

from ..checks import check_one_channel, check_same_shape


@dataclass(frozen=True)
class LesionShapes:
    """Input of the clean-up, (N,) float64 each, in the order of ``ids``, the values in the instance map.

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
