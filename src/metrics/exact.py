"""Exact 95 % intervals of shares, rates and F1, for tables of few lesions."""

from dataclasses import dataclass

import torch
from scipy.stats import beta, chi2

from .rates import pooled_rates

FEW = 20
"""Of fewer than this a bootstrap interval is too narrow, and of a share of 0 or 1 it has no width at all."""


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as tables show it."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


def exact_share(part: float, whole: float) -> Interval:
    """Return ``part / whole`` with its Clopper-Pearson interval [1]_; NaN where ``whole`` is 0.

    Not SciPy's ``binomtest``, which takes no fractions; those of F1 may have one.

    References:
        .. [1] Clopper and Pearson, Biometrika 26:404, 1934. https://doi.org/10.1093/biomet/26.4.404
    """
    if whole == 0:
        return UNDEFINED
    low = float(beta.ppf(0.025, part, whole - part + 1)) if part > 0 else 0.0
    high = float(beta.ppf(0.975, part + 1, whole - part)) if part < whole else 1.0
    return Interval(part / whole, low, high)


def exact_rate(events: int, scans: int) -> Interval:
    """Return ``events / scans`` with the interval of a Poisson mean [1]_; NaN without scans.

    References:
        .. [1] Garwood, Biometrika 28:437, 1936. https://doi.org/10.1093/biomet/28.3-4.437
    """
    if scans == 0:
        return UNDEFINED
    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return Interval(events / scans, low / scans, float(chi2.ppf(0.975, 2 * events + 2)) / 2 / scans)


def exact_rates(counts: torch.Tensor) -> dict[str, Interval]:
    """Return the pooled rates of :data:`csvd.metrics.RATES` with exact intervals.

    The intervals take lesions for independent of each other: where a few scans hold most of them, the bootstrap over
    scans of :func:`csvd.metrics.summarize_cohort` is wider. That of F1 comes from the share of pairs among all that is
    marked or detected, which is binomial where matching is one to one, and of which F1 is a rising function.

    Args:
        counts: (S, 4) from :func:`csvd.metrics.count_lesions`.
    """
    lesions, found, detections, false_positives = counts.sum(dim=0).tolist()
    f1 = float(pooled_rates(counts)["f1"])
    marked = lesions + false_positives
    shared = exact_share(f1 / (2 - f1) * marked, marked)
    return {
        "tpr": exact_share(found, lesions),
        "fps_per_subject": exact_rate(false_positives, len(counts)),
        "precision": exact_share(detections - false_positives, detections),
        "f1": Interval(f1, *(2 * share / (1 + share) for share in (shared.low, shared.high))) if lesions else UNDEFINED,
    }


def rates_of_few(counts: torch.Tensor) -> dict[str, Interval]:
    """Return those rates of :func:`exact_rates` for which a bootstrap over subjects is not fit.

    These are TPR, precision and F1 where they are 0 or 1 or of fewer than :data:`FEW` lesions, detections or, of F1,
    lesions and false positives; false positives where they are fewer than :data:`FEW`; and all rates of one subject.

    Args:
        counts: (S, 4), as for :func:`exact_rates`.
    """
    lesions, _, detections, false_positives = counts.sum(dim=0).tolist()
    of = {"tpr": lesions, "fps_per_subject": false_positives, "precision": detections, "f1": lesions + false_positives}
    return {
        name: rate
        for name, rate in exact_rates(counts).items()
        if of[name] < FEW or len(counts) == 1 or (name != "fps_per_subject" and rate.value in (0, 1))
    }
