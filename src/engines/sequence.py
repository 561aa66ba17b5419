"""What the training of the sequence gate needs besides MONAI's own."""

from collections.abc import Sequence
from typing import Any

import torch


def series_output(output: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log of the mean probability over the slices, (B, classes), and the labels (B,), for Ignite metrics."""
    mean = torch.stack([item["pred"].mean(dim=-1) for item in output])
    return mean.clamp(min=1e-6).log(), torch.tensor([int(item["label"]) for item in output], device=mean.device)
