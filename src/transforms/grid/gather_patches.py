"""Patches around points of a volume, all at once."""

from collections.abc import Sequence

import torch
from monai.utils import convert_to_tensor
from torch.nn.functional import pad


def gather_patches(image: torch.Tensor, centres: torch.Tensor, patch_size: Sequence[int]) -> torch.Tensor:
    """Return patches (N, C, h, w, d) of (C, H, W, D) whose voxel ``size // 2`` is the one nearest to each centre.

    What lies outside the volume is 0, as outside the brain: nothing is reflected, so that no lesion appears twice.

    Args:
        image: (C, H, W, D).
        centres: (N, 3) in voxels, inside the volume.
        patch_size: (h, w, d).
    """
    margin = [side for size in reversed(patch_size) for side in (size // 2, size - size // 2)]
    padded = pad(convert_to_tensor(image, track_meta=False), margin)
    start = centres.round().long().to(padded.device)
    rows, columns, slices = (
        first[:, None] + torch.arange(size, device=padded.device)
        for first, size in zip(start.T, patch_size, strict=True)
    )
    patches = padded[:, rows[:, :, None, None], columns[:, None, :, None], slices[:, None, None, :]]
    return patches.transpose(0, 1)
