"""Sequence of each slice of a series."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from monai.visualize import GradCAM
from torch.nn.functional import interpolate


class SeriesInferer(Inferer):
    """Run a network of single slices on all slices of a series."""

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the probabilities (B, classes, N) of series (B, 1, H, W, N), a network's logits after softmax."""
        slices = convert_to_tensor(inputs, track_meta=False).float().movedim(-1, 1)  # (B, N, 1, H, W)
        logits = network(slices.flatten(0, 1), *args, **kwargs)
        return logits.softmax(dim=1).unflatten(0, slices.shape[:2]).movedim(1, -1)


def series_gradcam(series: torch.Tensor, network: torch.nn.Module, layer: str = "backbone.layer4") -> torch.Tensor:
    """Return the evidence of each pixel for the most likely sequence of its slice, (1, H, W, N), 0 to 1 in each slice.

    Args:
        series: (1, H, W, N).
        network: a :class:`csvd.networks.SequenceClassifier`, in evaluation mode.
        layer: whose maps are looked at. Defaults to the last.
    """
    slices = convert_to_tensor(series, track_meta=False).float().movedim(-1, 0)
    seen = GradCAM(deepcopy(network), layer)  # a copy, because MONAI's hooks stay
    with torch.enable_grad():
        heat = seen.compute_map(slices.to(next(network.parameters()).device)).detach()
    heat = interpolate(heat, slices.shape[2:], mode="bilinear")
    return (heat / heat.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)).movedim(0, -1).cpu()
