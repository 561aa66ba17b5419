"""Several classifiers of dark foci as one, with one calibration: what a bundle's ``model.pt`` holds."""

import torch
from torch import nn

from .patch_classifier import PatchClassifier

SURELY_NOT = -8.0
"""Calibrated log-odds (a probability of 3e-4) of the first member below which the others are not asked."""
MIRRORS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))


class PatchEnsemble(nn.Module):
    """Mean log-odds of classifiers that differ in their seed alone, then ``odds / temperature + bias``.

    Args:
        members: how many.
        features: of each, see :class:`PatchClassifier`.

    Raises:
        ValueError: there are no members.
    """

    temperature: torch.Tensor
    bias: torch.Tensor

    def __init__(self, members: int = 1, features: int = 32) -> None:
        super().__init__()
        if members < 1:
            raise ValueError(f"`members` must be 1 or more, got {members!r}.")
        self.members = nn.ModuleList(PatchClassifier(features) for _ in range(members))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the probability (N, 1) that the middle of patches (N, 5, 48, 48) is a microbleed.

        In training mode it is the log-odds of each member, (N, members), for :class:`csvd.losses.PatchLoss`.
        """
        if self.training:
            return torch.stack([member(patches) for member in self.members], dim=1)
        return self.calibrate(self.odds(patches)).sigmoid()[:, None]

    def odds(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the mean log-odds (N,) of the members."""
        return torch.stack([member(patches) for member in self.members]).mean(dim=0)

    def quick_odds(self, patches: torch.Tensor) -> torch.Tensor:
        """Return :meth:`odds` (N,), of the first member alone where it is below :data:`SURELY_NOT`.

        That is so for 85 % of the candidates of a scan. Their probability is below 2e-3 with all members too, less than
        anything is drawn from.
        """
        odds = self.members[0](patches)
        left = (self.calibrate(odds) >= SURELY_NOT).nonzero()[:, 0]
        if len(left) and len(self.members) > 1:
            others = [member(patches[left]) for member in self.members[1:]]
            odds[left] = torch.stack([odds[left], *others]).mean(dim=0)
        return odds

    def mirrored_odds(self, patches: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return the mean log-odds (N,) over the mirrorings of a slice, from the one numbered ``first`` on."""
        return torch.stack([self.odds(patches.flip(axes)) for axes in MIRRORS[first:]]).mean(dim=0)

    def calibrate(self, odds: torch.Tensor) -> torch.Tensor:
        """Return calibrated log-odds (N,)."""
        return odds / self.temperature + self.bias
