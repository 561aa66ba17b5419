"""Multi-tasking teacher of the cascade: finds microbleeds voxel by voxel and tells patches that hold one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .classifier_arm import ClassifierArm
from .shallow_unet import ShallowUNet, truncated_normal_
from .student import deepest_size


class MultiTaskTeacher(nn.Module):
    """The detector with a patch classifier on its deepest features [1]_.

    Its segmentor is a whole :class:`csvd.networks.ShallowUNet`, so the weights of the first step load as they are:
    ``teacher.segmentor.load_state_dict(detector.state_dict())``.

    Args:
        patch_size: voxels of the patches. Defaults to 24 x 24 x 24, as in the paper.
        dropout: of the classifier. Defaults to 0.2, as in the paper.
        kwargs: arguments of :class:`csvd.networks.ShallowUNet`.

    Raises:
        ValueError: ``patch_size`` is too small for two poolings and one more, or not divisible by them.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.1.
    """

    def __init__(self, patch_size: Sequence[int] = (24, 24, 24), dropout: float = 0.2, **kwargs: Any) -> None:
        super().__init__()
        self.segmentor = ShallowUNet(**kwargs)
        layers = {name: kwargs[name] for name in ("act", "norm") if name in kwargs}
        size = deepest_size(patch_size, self.segmentor.encoder)
        self.classifier = ClassifierArm(self.segmentor.encoder.out_channels, size, dropout=dropout, **layers)
        self.classifier.apply(truncated_normal_)

    def forward(self, patch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of each voxel (B, 2, H, W, D) and of each patch (B, 2) of (B, C, H, W, D)."""
        fine, middle, coarse = self.segmentor.encoder(patch)
        return self.segmentor.decode(fine, middle, coarse), self.classifier(coarse)[0]

    def classify(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 2) of patches (B, C, H, W, D) alone."""
        return self.classifier(self.segmentor.encoder(patch)[-1])[0]
