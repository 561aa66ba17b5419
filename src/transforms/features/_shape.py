"""Local shape of a volume, in mm: eigenvalues of its Hessian and structure tensor, and Frangi's vesselness."""

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

import torch

from ..grid._gaussian import gaussian_filter

# The six different entries of a symmetric 3 x 3 matrix: xx, xy, xz, yy, yz, zz.
ENTRIES = tuple(combinations_with_replacement(range(3), 2))


def symmetric_eigenvalues(entries: torch.Tensor) -> torch.Tensor:
    """Return the eigenvalues, (3, V) and falling, of V symmetric matrices given by their :data:`ENTRIES` (6, V).

    The closed form with one arc cosine [1]_, a hundred times faster than an iterative solver on many small matrices.

    References:
        .. [1] Smith, Communications of the ACM 1961. https://doi.org/10.1145/355578.366316
    """
    xx, xy, xz, yy, yz, zz = entries
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    spread = ((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6).sqrt()
    a, b, c, xy, xz, yz = (part / spread.clamp(min=1e-30) for part in (a, b, c, xy, xz, yz))
    determinant = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    angle = (determinant / 2).clamp(min=-1, max=1).acos() / 3
    largest = mean + 2 * spread * angle.cos()
    smallest = mean + 2 * spread * (angle + 2 * math.pi / 3).cos()
    return torch.stack([largest, 3 * mean - largest - smallest, smallest])


def difference(volume: torch.Tensor, axis: int, spacing: Sequence[float], order: int = 1) -> torch.Tensor:
    """Return the first (central) or second difference of a volume (H, W, D) per mm; edges repeat the last voxel."""
    size = volume.shape[axis]
    padded = torch.cat([volume.narrow(axis, 0, 1), volume, volume.narrow(axis, size - 1, 1)], dim=axis)
    before, after = padded.narrow(axis, 0, size), padded.narrow(axis, 2, size)
    if order == 1:
        return (after - before) / (2 * spacing[axis])
    return (after - 2 * volume + before) / spacing[axis] ** 2


def hessian_eigenvalues(
    volume: torch.Tensor, voxels: torch.Tensor, scale_mm: float, spacing: Sequence[float]
) -> torch.Tensor:
    """Return the eigenvalues (3, V), falling, of the Hessian of a volume (H, W, D) at flat indices ``voxels`` (V,).

    Neighbours are subtracted after smoothing, because a sampled derivative of a Gaussian is wrong for thick slices.
    """
    smooth = gaussian_filter(volume, [scale_mm / size for size in spacing])
    gradient = [difference(smooth, axis, spacing) for axis in range(3)]
    entries = [
        difference(smooth, i, spacing, order=2) if i == j else difference(gradient[i], j, spacing) for i, j in ENTRIES
    ]
    return symmetric_eigenvalues(torch.stack([entry.take(voxels) for entry in entries]))


def structure_eigenvalues(
    volume: torch.Tensor, voxels: torch.Tensor, scale_mm: float, window_mm: float, spacing: Sequence[float]
) -> torch.Tensor:
    """Return the eigenvalues (3, V), falling, of the structure tensor of a volume at V voxels.

    Args:
        volume: (H, W, D) float32.
        voxels: (V,) flat indices into the volume.
        scale_mm: standard deviation of the Gaussian that smooths before the gradient.
        window_mm: standard deviation of the Gaussian that averages products of the gradient.
        spacing: voxel size along H, W and D, in mm.
    """
    smooth = gaussian_filter(volume, [scale_mm / size for size in spacing])
    gradient = [difference(smooth, axis, spacing) for axis in range(3)]
    window = [window_mm / size for size in spacing]
    return symmetric_eigenvalues(
        torch.stack([gaussian_filter(gradient[i] * gradient[j], window).take(voxels) for i, j in ENTRIES])
    )


def frangi(
    volume: torch.Tensor, voxels: torch.Tensor, spacing: Sequence[float], scales_mm: Sequence[float]
) -> torch.Tensor:
    """Return the vesselness [1]_ of bright tubes, 0 to 1, of (H, W, D) at flat indices ``voxels`` (V,), best of scales.

    References:
        .. [1] Frangi et al., MICCAI 1998, eq. 13 and 14; alpha = beta = 0.5, c = half the greatest norm.
            https://doi.org/10.1007/BFb0056195
    """
    best = volume.new_zeros(len(voxels))
    for scale_mm in scales_mm:
        along, across, sharpest = hessian_eigenvalues(volume, voxels, scale_mm, spacing)
        is_tube = (across < 0) & (along <= -across)
        plate = across / sharpest.clamp(max=-1e-30)  # R_A
        blob = along.square() / (across * sharpest).clamp(min=1e-30)  # R_B squared
        norm = along.square() + across.square() + sharpest.square()  # S squared
        vesselness = (1 - (-2 * plate.square()).exp()) * (-2 * blob).exp()
        vesselness *= 1 - (-2 * norm / norm.max().clamp(min=1e-30)).exp()
        best = torch.maximum(best, vesselness * is_tube)
    return best
