"""Histograms of the page of a cohort: number of scans by lesion count, brain volume and intensity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from ..lesions.quality import measures

MAX_BINS = 24
UNITS = {"brain volume": "ml"}
ORDER = ("lesion count", "brain volume", "intensity")


@dataclass(frozen=True)
class Histogram:
    """Number of scans by value.

    Attributes:
        name: of the measure.
        unit: of its values, empty where there is none.
        median: of the values.
        bins: lower edge, upper edge, number of scans, and how many of them are outliers.
    """

    name: str
    unit: str
    median: float
    bins: list[tuple[float, float, int, int]]


def histograms(rows: Sequence[Mapping[str, Any]], flags: Sequence[Sequence[str]]) -> Iterator[Histogram]:
    """Yield the histogram of each measure of the scans with a result.

    Args:
        rows: as :func:`csvd.lesions.cohort_table` takes them.
        flags: of each row, see :func:`csvd.lesions.quality_flags`.
    """
    values: dict[str, list[tuple[float, bool]]] = {}
    for row, row_flags in zip(rows, flags, strict=True):
        if row["status"] == "ok":
            for name, value in measures(row).items():
                if value is not None:
                    values.setdefault(name, []).append((value, f"outlier: {name}" in row_flags))
    for name in sorted(values, key=lambda name: (ORDER.index(name.partition(" (")[0]), name)):
        yield _histogram(name, values[name])


def _histogram(name: str, values: Sequence[tuple[float, bool]]) -> Histogram:
    numbers = [value for value, _ in values]
    edges = _edges(numbers, whole=name == "lesion count")
    counts, _ = np.histogram(numbers, edges)
    outliers, _ = np.histogram([value for value, is_outlier in values if is_outlier], edges)
    columns = (part.tolist() for part in (edges[:-1], edges[1:], counts, outliers))
    return Histogram(name, UNITS.get(name, ""), median(numbers), [*zip(*columns, strict=True)])


def _edges(numbers: Sequence[float], whole: bool) -> np.ndarray:
    """Return the edges of the bins, whole numbers for counts."""
    if whole:
        width = max(1, -(-int(max(numbers) + 1) // MAX_BINS))
        return np.arange(0, max(max(numbers), 4) + 1 + width, width)
    edges = np.histogram_bin_edges(numbers, "auto")
    return edges if len(edges) <= MAX_BINS else np.histogram_bin_edges(numbers, MAX_BINS)
