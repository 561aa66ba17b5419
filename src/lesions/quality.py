"""Which scans of a cohort to look at first: those that failed, that have warnings, or that are unlike the others."""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import median
from typing import Any

OUTLIER_Z = 3.5
"""Robust z-score from which a scan is an outlier; Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993."""

FEWEST = 5
"""Scans that it takes to tell what is usual."""

RULE = (
    f"An outlier lies more than {OUTLIER_Z} robust z-scores from the median of the cohort. The score is the distance "
    "divided by 1.4826 times the median absolute deviation, or by 1 % of the median if that is more. Numbers of "
    "microbleeds are compared after Anscombe's transform, 2 √(n + 3/8), with a deviation of 1 at least, which is "
    f"that of chance (Poisson); intensities among scans of the same contrast. Groups of fewer than {FEWEST} scans have "
    "no outliers."
)
"""The rule in words."""


def measures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what is compared, by name, of the row of a scan that did not fail."""
    quality = row["quality"]
    return {
        "lesion count": row["counts"]["total"],
        "brain volume": quality["mask_volume_ml"],
        f"intensity ({row['contrast']})": quality["median_intensity"],
    }


def quality_flags(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for each scan ``failed``, ``warnings``, ``outlier: brain volume`` and the like; nothing for most.

    Args:
        rows: as :func:`cohort_row` takes them, of the whole cohort; :data:`RULE` says what an outlier is.
    """
    flags = [["failed"] if row["status"] != "ok" else ["warnings"] * bool(row["warnings"]) for row in rows]
    known = {number: measures(row) for number, row in enumerate(rows) if row["status"] == "ok"}
    for name in dict.fromkeys(name for one in known.values() for name in one):
        values = {number: value for number, one in known.items() if (value := one.get(name)) is not None}
        scores = robust_z(values.values(), counts=name == "lesion count")
        for number, score in zip(values, scores, strict=True):
            if abs(score) > OUTLIER_Z:
                flags[number].append(f"outlier: {name}")
    return flags


def robust_z(values: Iterable[float], counts: bool = False) -> list[float]:
    """Return how far each value lies from the median, see :data:`RULE`; zeros where there are few values.

    Args:
        values: finite numbers.
        counts: they are numbers of things.
    """
    numbers = [2 * sqrt(value + 3 / 8) if counts else float(value) for value in values]
    if len(numbers) < FEWEST:
        return [0.0] * len(numbers)
    middle = median(numbers)
    deviation = 1.4826 * median(abs(number - middle) for number in numbers)
    spread = max(deviation, 1.0 if counts else 0.01 * abs(middle))
    return [(number - middle) / spread if spread else 0.0 for number in numbers]
