"""The sequence of a series: what most of its slices look like."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from ..checks import check_between

UNSURE = "unsure"


class NameSequenced(Transform):
    """Name a series by the vote of its slices.

    Adds ``sequence``, the class that most slices look like (of several, the one of higher mean probability), or
    ``"unsure"`` when its mean probability is below ``abstain``; ``probability``, that mean; ``votes``, the number of
    slices; and ``suitable``, the mean probability of all classes named by ``wanted``.

    Args:
        sequences: names of the classes.
        wanted: those that the detector takes.
        abstain: mean probability below which a series has no name. Defaults to 0.5.

    Raises:
        ValueError: ``abstain`` lies outside [0, 1].
    """

    def __init__(self, sequences: Sequence[str], wanted: Sequence[str], abstain: float = 0.5) -> None:
        check_between("abstain", abstain, 0, 1)
        self.sequences = tuple(sequences)
        self.wanted = [self.sequences.index(name) for name in wanted]
        self.abstain = abstain

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item, whose ``pred`` has the probabilities (classes, N) of the slices, with the names."""
        slices = torch.as_tensor(data["pred"])
        mean = slices.mean(dim=1)
        votes = torch.bincount(slices.argmax(dim=0), minlength=len(mean))
        winner = int((votes + mean).argmax())
        probability = float(mean[winner])
        return {
            **data,
            "sequence": self.sequences[winner] if probability >= self.abstain else UNSURE,
            "probability": probability,
            "votes": int(votes[winner]),
            "suitable": float(mean[self.wanted].sum()),
        }
