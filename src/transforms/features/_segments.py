"""From features of voxels to segments: two clusters, voxels near blobs, elongated connected pieces."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from ...lesions.labels import label_components
from ._shape import hessian_eigenvalues
from .frst import fast_radial_symmetry

# Chosen on simulated scans.
BLOB_RADII_MM = (2, 3, 4)
BLOB_STRENGTH = 0.1
BLOB_GRID_MM = 0.8
POINT_SCALE_MM = 1.0
POINT_STRENGTH = 0.06
BLOB_REACH_MM = 3.5
ITERATIONS = 100


def two_means(features: torch.Tensor) -> torch.Tensor:
    """Return which of V voxels with ``features`` (F, V) fall into the smaller of two clusters, (V,) bool.

    K-means on features that are cut at their 99th percentile and standardised, so that neither units nor a few
    very bright lesions decide. It starts from the voxels whose first feature is a standard deviation above its mean.
    """
    size = features.shape[1]
    features = features.minimum(features.kthvalue(max(1, int(0.99 * size)), dim=1, keepdim=True).values)
    features = features - features.mean(dim=1, keepdim=True)
    features /= features.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-30)
    chosen = features[0] > 1
    for _ in range(ITERATIONS):
        number = int(chosen.sum())
        if number == 0:
            break
        # All features sum to 0, so the sum over one cluster gives the centres of both.
        total = features @ chosen.float()
        high, low = total / number, -total / (size - number)
        previous, chosen = chosen, (high - low) @ features > (high - low) @ (high + low) / 2
        if torch.equal(chosen, previous):
            break
    return chosen if 2 * int(chosen.sum()) <= size else ~chosen


def near_blobs(volume: torch.Tensor, candidates: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Return the voxels around candidates that are centres of something round; everything (H, W, D).

    Two signs of it, each as a share of the contrast of the brightest tenth of the candidates, of which lines have
    less: radial symmetry for what spans several voxels, and curvature in all directions for what spans a few.

    Args:
        volume: float32, in which the median of the brain is 0.
        candidates: bool, in which centres are sought.
        spacing: voxel size along H, W and D, in mm.
    """
    if not candidates.any():
        return candidates
    bright = volume[candidates]
    contrast = bright.kthvalue(math.ceil(0.9 * len(bright))).values
    curved = -hessian_eigenvalues(volume, candidates.flatten().nonzero()[:, 0], POINT_SCALE_MM, spacing)[0]
    is_point = curved * POINT_SCALE_MM**2 > POINT_STRENGTH * contrast
    points = torch.zeros_like(candidates).masked_scatter(candidates, is_point)

    # Fine grids are averaged first, because votes scatter over the more voxels the finer they are.
    pool = [max(1, round(BLOB_GRID_MM / size)) for size in spacing]
    coarse_mm = [size * n for size, n in zip(spacing, pool, strict=True)]
    symmetry = fast_radial_symmetry(
        functional.avg_pool3d(volume[None, None], pool, ceil_mode=True), BLOB_RADII_MM, spacing=coarse_mm
    )
    center = (symmetry > BLOB_STRENGTH * contrast) & (max_pool(candidates, pool) > 0) | (max_pool(points, pool) > 0)
    near = center.float()
    for axis, size in enumerate(coarse_mm):
        reach = [0, 0, 0]
        reach[axis] = round(BLOB_REACH_MM / size)
        near = functional.max_pool3d(near, [2 * n + 1 for n in reach], stride=1, padding=reach)
    near = functional.interpolate(near, scale_factor=[float(n) for n in pool])
    return near[0, 0, : volume.shape[0], : volume.shape[1], : volume.shape[2]] > 0


def max_pool(mask: torch.Tensor, pool: list[int]) -> torch.Tensor:
    """Return which blocks of ``pool`` voxels of a mask (H, W, D) hold any, (1, 1, H', W', D') float32."""
    return functional.max_pool3d(mask[None, None].float(), pool, ceil_mode=True)


def elongated(
    mask: torch.Tensor, spacing: Sequence[float], min_length_mm: float, min_elongation: float
) -> torch.Tensor:
    """Return the part of a mask (H, W, D) whose 26-connected pieces are long and thin.

    The length of a piece is that of a straight rod with its greatest second moment; its width is the side of a square
    rod of its volume and length. Bends and branches so add to the width of a vessel no more than they must.
    """
    # On the CPU: SciPy labels connected voxels, PyTorch does not.
    labels, count = label_components(mask.numpy(force=True))
    voxel_index = torch.from_numpy(labels).nonzero()
    label = torch.from_numpy(labels)[voxel_index.unbind(dim=1)].long() - 1
    points_mm = voxel_index * torch.tensor(spacing, dtype=torch.float64)
    voxels = torch.bincount(label, minlength=count).double()
    center = torch.zeros(count, 3, dtype=torch.float64).index_add_(0, label, points_mm) / voxels[:, None]
    offset = points_mm - center[label]
    moment = torch.zeros(count, 3, 3, dtype=torch.float64).index_add_(0, label, offset[:, :, None] * offset[:, None])
    moment = moment / voxels[:, None, None] + torch.diag(torch.tensor(spacing, dtype=torch.float64)) ** 2 / 12
    length = (12 * torch.linalg.eigvalsh(moment)[:, -1]).sqrt()
    width = (voxels * math.prod(spacing) / length).sqrt()
    keep = torch.cat([torch.tensor([False]), (length >= min_length_mm) & (length >= min_elongation * width)])
    return keep[torch.from_numpy(labels).long()].to(mask.device)
