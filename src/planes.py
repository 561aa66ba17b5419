"""Along which axis of a volume the slices lie."""

from collections.abc import Sequence

COARSER = 1.2
"""Times the spacing of the last axis from which another one is the axis of the slices."""


def slice_axis(spacing_mm: Sequence[float]) -> int:
    """Return along which axis a scan's slices lie: the coarsest, or the last where no other is clearly coarser."""
    widest = max(range(3), key=lambda axis: spacing_mm[axis])
    return widest if spacing_mm[widest] > COARSER * spacing_mm[2] else 2
