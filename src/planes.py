"""Along which axis of a volume the slices lie, and volumes turned so that it is the last."""

from collections.abc import Sequence

import torch

COARSER = 1.2
"""Times the spacing of the last axis from which another one is the axis of the slices."""


def slice_axis(spacing_mm: Sequence[float]) -> int:
    """Return along which axis a scan's slices lie: the coarsest, or the last where no other is clearly coarser."""
    widest = max(range(3), key=lambda axis: spacing_mm[axis])
    return widest if spacing_mm[widest] > COARSER * spacing_mm[2] else 2


def slices_last(volume: torch.Tensor, spacing_mm: Sequence[float]) -> torch.Tensor:
    """Return a volume (..., H, W, D) with the axis of its slices at the end; the other two keep their order."""
    return volume.movedim(volume.ndim - 3 + slice_axis(spacing_mm), -1).contiguous()


def slices_back(volume: torch.Tensor, spacing_mm: Sequence[float]) -> torch.Tensor:
    """Return a volume from :func:`slices_last` with its axes in the scan's own order.

    Args:
        volume: (..., H, W, D), slices along the last axis.
        spacing_mm: of the scan, in its own order.
    """
    return volume.movedim(-1, volume.ndim - 3 + slice_axis(spacing_mm))


def spacing_last(spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    """Return the spacing of the axes of :func:`slices_last`: rows, columns, slices."""
    axis = slice_axis(spacing_mm)
    rows, columns = (float(spacing_mm[k]) for k in range(3) if k != axis)
    return rows, columns, float(spacing_mm[axis])
