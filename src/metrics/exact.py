"""Exact 95 % intervals of shares, rates and F1, for tables of few lesions."""

import torch
from scipy.stats import chi2
from statsmodels.stats.proportion import proportion_confint

from .classification import Interval

UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def exact_share(part: int, whole: int) -> Interval:
    """Return ``part / whole`` with its Clopper-Pearson interval [1]_; NaN where ``whole`` is 0.

    References:
        .. [1] Clopper and Pearson, Biometrika 26:404, 1934. https://doi.org/10.1093/biomet/26.4.404
    """
    if whole == 0:
        return UNKNOWN
    low, high = proportion_confint(part, whole, method="beta")
    return Interval(part / whole, float(low), float(high))


def exact_rate(events: int, scans: int) -> Interval:
    """Return ``events / scans`` with the interval of a Poisson mean [1]_; NaN without scans.

    References:
        .. [1] Garwood, Biometrika 28:437, 1936. https://doi.org/10.1093/biomet/28.3-4.437
    """
    if scans == 0:
        return UNKNOWN
    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return Interval(events / scans, low / scans, float(chi2.ppf(0.975, 2 * events + 2)) / 2 / scans)


def exact_rates(counts: torch.Tensor) -> dict[str, Interval]:
    """Return the pooled rates of :data:`csvd.metrics.RATES` with exact intervals.

    The intervals take lesions for independent of each other: where a few scans hold most of them, the bootstrap over
    scans of :func:`csvd.metrics.summarize_cohort` is wider. That of F1 comes from the share of pairs among all that is
    marked or detected, which is a binomial one, and of which F1 is a rising function.

    Args:
        counts: (S, 4) from counting one to one, as :func:`csvd.metrics.count_lesions` does by distance.
    """
    lesions, found, detections, false_positives = counts.sum(dim=0).tolist()
    shared = exact_share(found, lesions + false_positives)
    return {
        "tpr": exact_share(found, lesions),
        "fps_per_subject": exact_rate(false_positives, len(counts)),
        "precision": exact_share(detections - false_positives, detections),
        "f1": Interval(*(2 * share / (1 + share) for share in (shared.value, shared.low, shared.high)))
        if lesions
        else UNKNOWN,
    }
