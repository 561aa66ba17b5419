"""Network that names the MR sequence of a slice."""

from __future__ import annotations

import torch
from torch import nn

from ..sequences import SEQUENCES
from .attention_mil import residual_network, stem_for


class SequenceClassifier(nn.Module):
    """torchvision's residual network on single slices of one channel.

    After a study that told T1, T1c, T2 and DWI apart with such networks, pre-trained on ImageNet, with an accuracy of
    0.79 to 0.84 on slices of other scanners.

    Args:
        num_classes: Defaults to those of :data:`csvd.sequences.SEQUENCES`; the paper has T1, T1c, T2 and DWI.
        backbone: "resnet18", the default, "resnet34" or "resnet50"; the paper has all three.
        backbone_weights: file with the state of torchvision's network, trained on RGB images, as in the paper; the new
            stem starts from their mean. Random when not given.

    Raises:
        ValueError: no such backbone.
        OSError, RuntimeError: the file is missing, or is of another network.
    """

    def __init__(
        self, num_classes: int = len(SEQUENCES), backbone: str = "resnet18", backbone_weights: str | None = None
    ) -> None:
        super().__init__()
        self.backbone = residual_network(backbone, backbone_weights)
        self.backbone.conv1 = stem_for(self.backbone.conv1, 1)
        self.backbone.fc = nn.Linear(self.backbone.fc.in_features, num_classes)
        self.backbone.to(memory_format=torch.channels_last)

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, classes) of slices (N, 1, H, W)."""
        return self.backbone(slices)
