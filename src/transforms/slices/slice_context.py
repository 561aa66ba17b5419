"""Neighbouring slices by millimetres: what five slices a network is given, whatever the thickness of a scan's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch.nn.functional import interpolate, pad

PIXEL_MM = 0.45
THICK_MM = 2.5
"""Slices from this spacing on are taken one by one; means over 3 mm stand for thinner ones."""


@lru_cache(maxsize=4096)
def context_slices(index: int, depth: int, spacing_mm: float) -> list[list[int]]:
    """Return which slices of a scan each of the five is the mean of, from below to above.

    At a spacing of 2.5 mm or more they are the slices ``index - 2`` to ``index + 2``, of which the outermost of the
    scan stands for those beyond. Else the middle one is the slice itself, and the others are means over 1.5 to 4.5 and
    4.5 to 7.5 mm on both sides; the other side stands in for one that is missing, the near mean for a far one.

    Args:
        index: of the slice in the middle.
        depth: slices of the scan.
        spacing_mm: between slices.
    """
    if spacing_mm >= THICK_MM:
        return [[min(max(index + step, 0), depth - 1)] for step in range(-2, 3)]
    far_below, below, above, far_above = (
        [k for k in range(depth) if low < side * (k - index) * spacing_mm - 1e-6 <= high]
        for side, low, high in ((-1, 4.5, 7.5), (-1, 1.5, 4.5), (1, 1.5, 4.5), (1, 4.5, 7.5))
    )
    farthest = [0 if index > depth // 2 else depth - 1]
    below, above = below or above or farthest, above or below or farthest
    return [far_below or below, below, [index], above, far_above or above]


def fine_grid(volume: torch.Tensor, spacing_mm: Sequence[float]) -> torch.Tensor:
    """Return a volume (H, W, D) on a grid of 0.45 mm in plane, slices as they are.

    Args:
        volume: float32.
        spacing_mm: of rows and columns. Finer voxels are averaged, coarser ones interpolated.
    """
    size = [max(1, round(n * mm / PIXEL_MM)) for n, mm in zip(volume.shape[:2], spacing_mm[:2], strict=True)]
    if size == list(volume.shape[:2]):
        return volume
    planes = volume.permute(2, 0, 1)[None]
    return interpolate(planes, size=size, mode="bilinear", antialias=min(spacing_mm[:2]) < PIXEL_MM)[0].permute(1, 2, 0)


def to_fine(points: torch.Tensor, shape: Sequence[int], fine_shape: Sequence[int]) -> torch.Tensor:
    """Return the voxels on :func:`fine_grid`, (N, 3) int64, that hold points (N, 3) in voxels of the scan.

    Args:
        points: voxels.
        shape: of the scan.
        fine_shape: of the grid.
    """
    scale = torch.tensor([fine / n for n, fine in zip(shape[:2], fine_shape[:2], strict=True)])
    plane = ((points[:, :2].float() + 0.5) * scale - 0.5).round().long()
    return torch.cat([plane, points[:, 2:].round().long()], dim=1)


def context_patches(fine: torch.Tensor, points: torch.Tensor, spacing_mm: float, size: int = 48) -> torch.Tensor:
    """Return patches (N, 5, size, size) of :func:`context_slices` around points; voxel ``size // 2`` is the point.

    What lies outside the scan repeats its edge.

    Args:
        fine: scan on :func:`fine_grid`, (H, W, D).
        points: voxels of it, (N, 3) int64.
        spacing_mm: between slices.
        size: voxels.
    """
    planes, half = fine.permute(2, 0, 1), size // 2
    patches = fine.new_empty(len(points), 5, size, size)
    for index in points[:, 2].unique().tolist():
        some = (points[:, 2] == index).nonzero()[:, 0]
        stack = torch.stack([planes[k].mean(0) for k in context_slices(index, len(planes), spacing_mm)])
        windows = pad(stack[None], (half,) * 4, mode="replicate")[0].unfold(1, size, 1).unfold(2, size, 1)
        rows, columns = (points[some, axis].clamp(0, fine.shape[axis] - 1) for axis in (0, 1))
        patches[some] = windows[:, rows, columns].transpose(0, 1)
    return patches
