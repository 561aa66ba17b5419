"""What the scores of many scans say together: the figures of the VALDO challenge, sensitivity by size, agreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
import torch

from .exact import Interval, exact_share
from .scan_score import ScanScore

SIZES_MM = (2.0, 3.0, 4.0, 6.0)
"""Diameters between the bins of :func:`sensitivity_by_size`; real microbleeds: 1.4, 2.7 and 4.8 mm (5, 50, 95 %)."""


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of ``scans`` values; NaN without any."""

    median: float
    low: float
    high: float
    scans: int


@dataclass(frozen=True)
class SizeBin:
    """Lesions with a diameter of ``low_mm`` or more, less than ``high_mm``: how many, found, and that share."""

    low_mm: float
    high_mm: float
    lesions: int
    found: int
    sensitivity: Interval


@dataclass(frozen=True)
class Agreement:
    """Bland-Altman: mean of reported minus true, and the limits between which 95 % of the differences lie."""

    bias: float
    low: float
    high: float
    scans: int


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return median and quartiles of the values that are not NaN."""
    known = [value for value in values if not isnan(value)]
    if not known:
        return Quartiles(nan, nan, nan, 0)
    low, median, high = (float(value) for value in np.percentile(known, (25, 50, 75)))
    return Quartiles(median, low, high, len(known))


def challenge_figures(scores: Sequence[ScanScore]) -> dict[str, Quartiles]:
    """Return what Task 2 of the VALDO challenge [1]_ ranks by, over scans: four figures.

    ``dice`` of all voxels and ``f1`` of lesions, over scans with a lesion: without one they are not defined.
    ``volume_difference_mm3`` and ``count_difference``, absolute, over all scans: in those without lesions all that is
    reported counts. What needs masks leaves out scans whose lesions are points.

    References:
        .. [1] Sudre et al., Where is VALDO?, Med. Image Anal. 2024. https://doi.org/10.1016/j.media.2023.103029
    """
    return {
        "dice": quartiles([score.dice for score in scores]),
        "volume_difference_mm3": quartiles([abs(score.reported_mm3 - score.volume_mm3) for score in scores]),
        "f1": quartiles([score.f1 for score in scores]),
        "count_difference": quartiles([abs(score.detections - score.lesions) for score in scores]),
    }


def sensitivity_by_size(scores: Sequence[ScanScore]) -> list[SizeBin]:
    """Return how many lesions are found by distance in bins of their diameter, with Clopper-Pearson intervals.

    The bins are those between :data:`SIZES_MM`. Lesions that are points have no size, and are in no bin.
    """
    diameter, found = (
        torch.cat([getattr(score, name) for score in scores] or [torch.zeros(0)]) for name in ("diameter_mm", "found")
    )
    bins = []
    for low, high in zip((0.0, *SIZES_MM), (*SIZES_MM, torch.inf), strict=True):
        inside = (diameter >= low) & (diameter < high)
        lesions, hits = int(inside.sum()), int(found[inside].sum())
        bins.append(SizeBin(low, high, lesions, hits, exact_share(hits, lesions)))
    return bins


def bland_altman(reported: Sequence[float], true: Sequence[float]) -> Agreement:
    """Return the agreement of two ways to measure [1]_; pairs with NaN are left out, limits need two pairs.

    The limits are 1.96 standard deviations of the differences from their mean.

    References:
        .. [1] Bland and Altman, Lancet 327:307, 1986. https://doi.org/10.1016/S0140-6736(86)90837-8
    """
    differences = np.subtract(reported, true).astype(float)
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        return Agreement(nan, nan, nan, 0)
    bias = float(differences.mean())
    half = 1.96 * float(differences.std(ddof=1)) if len(differences) > 1 else nan
    return Agreement(bias, bias - half, bias + half, len(differences))
