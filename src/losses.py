"""Losses of the cascade."""

import torch
from monai.losses import DiceLoss
from torch import nn

from .checks import check_positive


class WeightedCEDiceLoss(nn.Module):
    """Cross-entropy, in which microbleed voxels count more, plus Dice loss of the microbleed class [1]_.

    MONAI's ``DiceCELoss`` applies its class weight to both terms; here it applies to the cross-entropy alone. The
    Dice term is taken over the whole batch, because most patches hold no microbleed.

    Args:
        lesion_weight: weight of a microbleed voxel in the cross-entropy; background has 1. Defaults to 10 [1]_.

    Raises:
        ValueError: ``lesion_weight`` is not positive.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.2.
    """

    def __init__(self, lesion_weight: float = 10.0) -> None:
        super().__init__()
        check_positive("lesion_weight", lesion_weight)
        self.cross_entropy = nn.CrossEntropyLoss(weight=torch.tensor([1.0, lesion_weight]))
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss of logits (B, 2, H, W, D) against a label (B, 1, H, W, D) of 0 and 1."""
        logits = logits.float()
        self.cross_entropy.to(logits.device)
        return self.cross_entropy(logits, label[:, 0].long()) + self.dice(logits, label)
