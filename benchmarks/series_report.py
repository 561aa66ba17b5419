"""What a sequence gate calls series of known sequence: tables by kind and by person, and what reaches the detector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scored import table
from series_real import Known

from csvd.checks import InputError
from csvd.io import Case
from csvd.metrics.exact import exact_share
from csvd.sequences import GROUPS, SEQUENCES, SUITABLE
from csvd.transforms import NameSequenced
from csvd.transforms.slices.name_sequence import UNSURE
from csvd.workflows.gate import SeriesSequence, check_sequence, resolve_sequence

COLUMNS = [*dict.fromkeys(GROUPS[name] for name in SEQUENCES), UNSURE]
WRONG = {"T1-like", "T2-like", "FLAIR", "diffusion"}
"""Groups of which no series may reach the detector unasked."""


@dataclass(frozen=True)
class Answer:
    """A series, what the gate calls it, and whether a user who names the scan is refused."""

    series: Known
    found: SeriesSequence

    @property
    def group(self) -> str:
        """Group of what it is called."""
        return GROUPS.get(self.found.sequence, UNSURE)

    @property
    def right(self) -> bool:
        """Whether that is one of the right groups."""
        return self.group in self.series.groups

    @property
    def refused(self) -> bool:
        """Whether ``csvd detect`` refuses the scan when a user names it."""
        try:
            check_sequence(Case(self.series.name, Path(self.series.image)), self.found)
        except InputError:
            return True
        return False


def answer(series: Known, slices: torch.Tensor, tags: bool) -> Answer:
    """Return what the gate says of a series whose slices have probabilities (C, N), with its tags or without."""
    prediction = NameSequenced(SEQUENCES, wanted=tuple(SUITABLE))({"pred": slices})
    return Answer(series, resolve_sequence(prediction, series.tags if tags else None))


def confusion(answers: Sequence[Answer]) -> str:
    """Return a table: a row a true kind, a column a group of sequences."""
    kinds = dict.fromkeys(one.series.kind for one in sorted(answers, key=lambda one: one.series.kind))
    rows: list[list[Any]] = []
    for kind in kinds:
        some = [one for one in answers if one.series.kind == kind]
        counts = [sum(one.group == column for one in some) for column in COLUMNS]
        rows.append([kind, len(some), sum(one.right for one in some), *(count or "" for count in counts)])
    return table(["true kind", "series", "right", *COLUMNS], rows)


def rates(name: str, answers: Sequence[Answer]) -> list[Any]:
    """Return the cells of a set of answers: how many are right, refused, and passed on.

    Susceptibility scans are those of which nothing else is right.
    """
    wanted = [one for one in answers if one.series.groups <= {"T2*/SWI", "QSM"}]
    wrong = [one for one in answers if one.series.groups <= WRONG]
    right = sum(one.right for one in answers)
    share = exact_share(right, len(answers))
    return [
        name,
        f"{right} of {len(answers)} ({share.value:.2f} [{share.low:.2f}, {share.high:.2f}])",
        sum(one.group == UNSURE for one in answers),
        f"{sum(one.found.contrast is not None for one in wanted)} of {len(wanted)}",
        f"{sum(one.refused for one in wanted)} of {len(wanted)}",
        f"{sum(one.found.contrast is not None for one in wrong)} of {len(wrong)}",
    ]


RATES = [
    "series",
    "right",
    "unsure",
    "susceptibility scans that csvd sort passes on",
    "susceptibility scans refused when named",
    "T1, T2, FLAIR, diffusion passed on",
]


def by_person(before: Sequence[Answer], after: Sequence[Answer]) -> str:
    """Return a table: a row a person, right answers before and after."""
    rows = []
    for person in dict.fromkeys(one.series.person for one in before):
        old, new = ([one for one in some if one.series.person == person] for some in (before, after))
        changed = [
            f"{a.series.kind}: {a.found.pixels} → {b.found.pixels}"
            for a, b in zip(old, new, strict=True)
            if a.right != b.right
        ]
        rows.append(
            [person, len(old), sum(a.right for a in old), sum(b.right for b in new), "; ".join(sorted({*changed}))]
        )
    return table(["person", "series", "right before", "right after", "what changed"], rows)
