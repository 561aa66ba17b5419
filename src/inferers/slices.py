"""Microbleeds of a scan from a network that outlines them slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor

from ..checks import check_between, check_positive
from ..transforms.slices.adjacent_slices import adjacent_slices
from .candidates import find_candidates
from .cascade import LOWEST


class SliceInferer(Inferer):
    """Probability maps of Mask R-CNN on slices, as :class:`csvd.inferers.CascadeInferer` returns them.

    The masks of all objects, each times its score, are joined by their maximum: within a slice, overlapping objects
    become one, and across slices, those that touch. An object of the scan, a 26-connected cluster, gets the score of
    its surest slice.

    Args:
        threshold: of the product of mask and score, from which voxels belong to an object. Defaults to 0.05.
        batch_size: slices at a time. Defaults to 8.

    Raises:
        ValueError: ``threshold`` lies outside [0, 1], or ``batch_size`` is not positive.
    """

    def __init__(self, threshold: float = 0.05, batch_size: int = 8) -> None:
        super().__init__()
        check_between("threshold", threshold, 0, 1)
        check_positive("batch_size", batch_size)
        self.threshold = threshold
        self.batch_size = batch_size

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return (B, 2, H, W, D) of scans (B, C, H, W, D), of which the first channel is used.

        The first channel is the probability of each voxel, the second one value per object in all of its voxels, at
        least :data:`csvd.inferers.cascade.LOWEST`, and 0 elsewhere.
        """
        images = convert_to_tensor(inputs, track_meta=False)
        maps = torch.stack([self._infer(image[:1].float(), network) for image in images])
        return convert_to_dst_type(maps, inputs, dtype=torch.float32)[0]

    def _infer(self, image: torch.Tensor, network: Callable[..., Any]) -> torch.Tensor:
        slices = adjacent_slices(image)
        found = [result for part in slices.split(self.batch_size) for result in network(list(part))]
        probability = torch.stack([joined(result, image.shape[1:3]) for result in found], dim=-1)[None]
        objects = find_candidates(probability, self.threshold)
        value = torch.cat([objects.probability.new_zeros(1), objects.probability.clamp(min=LOWEST)])
        return torch.cat([probability, value[objects.instances.long()]])


def joined(result: dict[str, torch.Tensor], size: torch.Size) -> torch.Tensor:
    """Return the highest product of mask and score of the objects of a slice, (H, W), 0 where there is none."""
    weighted = result["masks"][:, 0] * result["scores"][:, None, None]
    return torch.cat([weighted, weighted.new_zeros(1, *size)]).amax(dim=0)
