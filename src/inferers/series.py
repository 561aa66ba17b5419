"""From the slices of a series to what each of them looks like."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor


class SeriesInferer(Inferer):
    """Run a network of single slices on all slices of a series."""

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the probabilities (B, classes, N) of series (B, 1, H, W, N), a network's logits after softmax."""
        slices = convert_to_tensor(inputs, track_meta=False).float().movedim(-1, 1)  # (B, N, 1, H, W)
        logits = network(slices.flatten(0, 1), *args, **kwargs)
        return logits.softmax(dim=1).unflatten(0, slices.shape[:2]).movedim(1, -1)
