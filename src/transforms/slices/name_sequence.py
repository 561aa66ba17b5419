"""The sequence of a series: what most of its slices look like."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from ...checks import check_between
from ...sequences import GROUPS

UNSURE = "unsure"


class NameSequenced(Transform):
    """Name a series by the vote of its slices.

    Slices vote for groups of sequences that look alike, :data:`csvd.sequences.GROUPS`. Adds ``sequence``, the likeliest
    sequence of the group with most votes (of several groups, the one of higher mean probability), or ``"unsure"`` when
    the mean probability of that group is below ``abstain``; ``probability``, that mean; ``votes``, the number of its
    slices; and ``suitable``, the mean probability of all sequences named by ``wanted``.

    Args:
        sequences: names of the classes, of :data:`csvd.sequences.SEQUENCES`.
        wanted: those that the detector takes.
        abstain: mean probability of a group below which a series has no name. Defaults to 0.5.

    Raises:
        ValueError: ``abstain`` lies outside [0, 1].
    """

    def __init__(self, sequences: Sequence[str], wanted: Sequence[str], abstain: float = 0.5) -> None:
        check_between("abstain", abstain, 0, 1)
        self.sequences = tuple(sequences)
        self.wanted = [self.sequences.index(name) for name in wanted]
        groups = sorted({GROUPS[name] for name in sequences})
        self.member = torch.tensor([[float(GROUPS[name] == group) for name in sequences] for group in groups])
        self.abstain = abstain

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item, whose ``pred`` has the probabilities (classes, N) of the slices, with the names."""
        slices = torch.as_tensor(data["pred"], device="cpu").float()
        mean, groups = slices.mean(dim=1), self.member @ slices
        votes, likely = torch.bincount(groups.argmax(dim=0), minlength=len(groups)), groups.mean(dim=1)
        winner = int((votes + likely).argmax())
        probability = float(likely[winner])
        best = int((mean * self.member[winner]).argmax())
        return {
            **data,
            "sequence": self.sequences[best] if probability >= self.abstain else UNSURE,
            "probability": probability,
            "votes": int(votes[winner]),
            "suitable": float(mean[self.wanted].sum()),
        }
