"""Maximum over a window around each voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def window_maximum(volume: torch.Tensor, window: Sequence[int]) -> torch.Tensor:
    """Return the maximum over a window around each voxel of (K, H, W); faster than pooling on a CPU.

    Args:
        volume: of any type.
        window: odd sizes along the three axes.
    """
    for axis, size in enumerate(window):
        if size == 1:
            continue
        best = volume.clone()
        for step in range(1, size // 2 + 1):
            if step >= volume.shape[axis]:
                break
            rest = volume.shape[axis] - step
            for here, there in ((0, step), (step, 0)):
                part = best.narrow(axis, here, rest)
                torch.maximum(part, volume.narrow(axis, there, rest), out=part)
        volume = best
    return volume
