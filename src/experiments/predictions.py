"""What a classifier says of the subjects of a table, and to whom none of its classes applies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..checks import InputError
from ..lesions.burden import UNKNOWN
from .subject_groups import read_columns

NOT_CLASSES = ("subject", "csvd", "reason", "imputed", "disagreement")
"""Columns that are no class."""


@dataclass(frozen=True)
class Predictions:
    """Subjects (N), names of the classes (C), true classes (N,) and probabilities (N, C), alike where none applies."""

    subjects: list[str]
    classes: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    applies: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """The likeliest class of each subject, (N,); C where none applies."""
        return np.where(self.applies, self.probabilities.argmax(axis=1), len(self.classes))

    @property
    def answered(self) -> Predictions:
        """Those subjects to whom a class applies."""
        subjects = [subject for subject, applies in zip(self.subjects, self.applies, strict=True) if applies]
        rest = (values[self.applies] for values in (self.labels, self.probabilities, self.applies))
        return Predictions(subjects, self.classes, *rest)


def read_predictions(path: Path) -> Predictions:
    """Read what ``evaluate.json`` of the classification bundle wrote.

    Every column but those of :data:`NOT_CLASSES` is a class; "n/a" there: not applicable.

    Raises:
        InputError: the table cannot be read, a subject's true class is none of its columns, or all that have an answer
            have the same.
    """
    rows = read_columns(path, "subject", "csvd")
    classes = [name for name in rows[0] if name not in NOT_CLASSES]
    for row in rows:
        if row["csvd"] not in classes:
            raise InputError(
                f"table '{path}': `csvd` of subject '{row['subject']}' must be one of {', '.join(classes)}, it is "
                f"'{row['csvd']}'. Add the diagnosis or take the subject out."
            )
    applies = np.array([UNKNOWN not in [row[name] for name in classes] for row in rows])
    answered = sorted({row["csvd"] for row, named in zip(rows, applies, strict=True) if named})
    if len(answered) < 2:
        raise InputError(
            f"table '{path}' must have answers for subjects of two classes or more, to tell apart, its {applies.sum()} "
            f"are all {' and '.join(map(repr, answered)) or UNKNOWN}. Add others."
        )
    labels = np.array([classes.index(row["csvd"]) for row in rows])
    alike = [1 / len(classes)] * len(classes)
    values = [
        [float(row[name]) for name in classes] if named else alike for row, named in zip(rows, applies, strict=True)
    ]
    return Predictions([row["subject"] for row in rows], classes, labels, np.array(values), applies)
