"""Candidates of a scan: where the detector suspects microbleeds, and the patches around them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.utils import convert_to_tensor
from torch.nn.functional import pad

from ..transforms.lesion_instances import lesion_instances


@dataclass(frozen=True)
class Candidates:
    """The N clusters of a probability map, the surest first; row ``n`` belongs to the instance ``n + 1``.

    ``instances`` is (1, H, W, D) int32, 0 outside; ``centres`` (N, 3) the centroids weighted by probability, in
    voxels; ``probability`` (N,) the highest of a voxel. All on the device of the map.
    """

    instances: torch.Tensor
    centres: torch.Tensor
    probability: torch.Tensor


def find_candidates(probability: torch.Tensor, threshold: float) -> Candidates:
    """Return the 26-connected clusters of voxels whose probability is at least ``threshold``.

    Args:
        probability: (1, H, W, D) in 0..1.
        threshold: in 0..1.

    Raises:
        ValueError: ``probability`` is not one channel of a volume.
    """
    instances = convert_to_tensor(lesion_instances(probability, threshold), track_meta=False)
    index = instances[0].nonzero()  # (V, 3)
    row = instances[0][tuple(index.T)].long() - 1
    value = convert_to_tensor(probability, track_meta=False)[0][tuple(index.T)].float()
    count = int(instances.max())
    total = value.new_zeros(count, 1).index_add(0, row, value[:, None])
    centres = value.new_zeros(count, 3).index_add(0, row, index * value[:, None]) / total
    return Candidates(instances, centres, value.new_zeros(count).scatter_reduce(0, row, value, "amax"))


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
