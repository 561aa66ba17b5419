"""Candidates of a scan: where the detector suspects microbleeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.utils import convert_to_tensor

from ..transforms.lesions.lesion_instances import lesion_instances


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


def relative_position(centres: torch.Tensor, spatial_size: Sequence[int]) -> torch.Tensor:
    """Return where points (N, 3), in voxels, lie in a volume: -1 at the first voxel of an axis, 1 at the last.

    Of a scan that is cropped to its brain, in RAS, this is where in the brain, whatever its size.
    """
    last = torch.tensor(spatial_size, device=centres.device) - 1
    return 2 * centres / last.clamp(min=1) - 1
