"""Losses of the patch classifiers and of the cascade."""

import math

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, kl_div

from .checks import check_between, check_positive


class WeightedCEDiceLoss(nn.Module):
    """Cross-entropy, in which microbleed voxels count more, plus Dice loss of the microbleed class [1]_.

    MONAI's ``DiceCELoss`` applies its class weight to both terms; here it applies to the cross-entropy alone. The
    Dice term is taken over the whole batch, because most patches hold no microbleed.

    Args:
        lesion_weight: weight of a microbleed voxel in the cross-entropy; background has 1. Defaults to 10 [1]_.
        dice_weight: weight of the Dice term. Defaults to 1 [1]_. It pays for certainty: the higher it is, the fewer
            voxels have a probability between 0 and 1 by which candidates could be ranked.

    Raises:
        ValueError: ``lesion_weight`` is not positive, or ``dice_weight`` is negative.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.2.
    """

    def __init__(self, lesion_weight: float = 10.0, dice_weight: float = 1.0) -> None:
        super().__init__()
        check_positive("lesion_weight", lesion_weight)
        check_between("dice_weight", dice_weight, 0, math.inf)
        self.lesion_weight = lesion_weight
        self.dice_weight = dice_weight
        self.dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss of logits (B, 2, H, W, D) against a label (B, 1, H, W, D), 0 outside microbleeds.

        Inside, the label multiplies the weight of the voxel: 1 is the paper's loss.
        """
        logits, target = logits.float(), label > 0
        weight = torch.where(target, self.lesion_weight * label, 1)[:, 0]
        errors = cross_entropy(logits, target[:, 0].long(), reduction="none")
        return (weight * errors).sum() / weight.sum() + self.dice_weight * self.dice(logits, target)


class MultiTaskLoss(nn.Module):
    """Loss of the teacher: that of the segmentor plus the cross-entropy of the patch classifier [1]_.

    In the paper a patch is a microbleed when it holds one anywhere. Here it has a label of its own, the student's:
    whether there is one at its centre. Otherwise the teacher would answer another question than its student.

    Args:
        lesion_weight: for :class:`WeightedCEDiceLoss`. Defaults to 10, as in the paper.
        dice_weight: for :class:`WeightedCEDiceLoss`. Defaults to 1, as in the paper.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.1.
    """

    def __init__(self, lesion_weight: float = 10.0, dice_weight: float = 1.0) -> None:
        super().__init__()
        self.segmentation = WeightedCEDiceLoss(lesion_weight, dice_weight)

    def forward(
        self, logits: tuple[torch.Tensor, torch.Tensor], target: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Return the scalar loss.

        Args:
            logits: of voxels (B, 2, H, W, D) and of patches (B, 2).
            target: where microbleeds are (B, 1, H, W, D), and labels of patches (B,).
        """
        (voxels, patches), (lesions, label) = logits, target
        return self.segmentation(voxels, lesions) + cross_entropy(patches.float(), label.long())


class DistillationLoss(nn.Module):
    """Cross-entropy of the student with its labels plus its divergence from the teacher, eq. 1-4 of [1]_.

    The divergence is ``KL(student, teacher)`` as the equation has it, the mean over the batch, and is not multiplied
    by the square of the temperature, as Hinton et al. do.

    Args:
        alpha: weight of the cross-entropy. Defaults to 0.4, as in the paper.
        beta: weight of the divergence. Defaults to 0.6, as in the paper.
        temperature: by which both logits are divided for the divergence. Defaults to 4, as in the paper.

    Raises:
        ValueError: a weight or the temperature is not positive.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.2.
    """

    def __init__(self, alpha: float = 0.4, beta: float = 0.6, temperature: float = 4.0) -> None:
        super().__init__()
        for name, value in {"alpha": alpha, "beta": beta, "temperature": temperature}.items():
            check_positive(name, value)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature

    def forward(self, logits: torch.Tensor, target: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return the scalar loss of the student's logits (B, N) against labels (B,) and the teacher's logits (B, N)."""
        label, teacher_logits = target
        student = (logits.float() / self.temperature).log_softmax(dim=1)  # eq. 2
        teacher = (teacher_logits.float() / self.temperature).log_softmax(dim=1)
        divergence = kl_div(teacher, student, reduction="batchmean", log_target=True)  # eq. 3; torch swaps the order
        return self.alpha * cross_entropy(logits.float(), label.long()) + self.beta * divergence  # eq. 4


class PatchLoss(nn.Module):
    """Cross-entropy of each member of :class:`csvd.networks.PatchEnsemble`, its mean over members and patches.

    Args:
        smoothing: labels 0 and 1 become ``smoothing`` and ``1 - smoothing``. Defaults to 0.01.

    Raises:
        ValueError: ``smoothing`` lies outside [0, 0.5].
    """

    def __init__(self, smoothing: float = 0.01) -> None:
        super().__init__()
        check_between("smoothing", smoothing, 0, 0.5)
        self.smoothing = smoothing

    def forward(self, odds: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss of log-odds (B, M) of M members against labels and weights of patches (B, 2)."""
        label, weight = target.unbind(dim=1)
        wanted = (label * (1 - 2 * self.smoothing) + self.smoothing)[:, None].expand_as(odds)
        losses = binary_cross_entropy_with_logits(odds.float(), wanted, reduction="none").mean(dim=1)
        return (losses * weight).sum() / weight.sum().clamp(min=1)
