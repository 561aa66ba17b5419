"""Statistics of a classifier of subjects: rates with intervals, areas under ROC curves, agreement with readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as kappa_of_table

from .exact import FEW, Interval, exact_share

SHARES = ("accuracy", "weighted recall")
"""Rates of :func:`class_rates` that are the share of subjects whose class is named."""
AREAS = ("weighted AUC", "macro AUC")
"""Means over classes of areas under ROC curves."""


def class_rates(labels: np.ndarray, chosen: np.ndarray, classes: int) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 averaged over classes by their size and evenly.

    Args:
        labels: true classes (N,), 0 to ``classes`` - 1.
        chosen: classes (N,) that the classifier or reader named; ``classes`` where none was.
        classes: how many there are. A class that was never named has precision 0.
    """
    # Counted here, because scikit-learn takes milliseconds, a thousand times in a bootstrap.
    width = classes + 1
    counts = np.bincount(labels * width + chosen, minlength=classes * width).reshape(classes, width)
    right, predicted, true = counts.diagonal(), counts.sum(axis=0)[:classes], counts.sum(axis=1)
    values = {
        "precision": right / predicted.clip(min=1),
        "recall": right / true.clip(min=1),
        "F1": 2 * right / (predicted + true).clip(min=1),
    }
    rates = {"accuracy": float(right.sum() / counts.sum())}
    for average, weights in {"weighted": true, "macro": np.ones(classes)}.items():
        rates |= {f"{average} {name}": float(np.average(value, weights=weights)) for name, value in values.items()}
    return rates


def stratified_bootstrap(
    labels: np.ndarray, statistic: Callable[[np.ndarray], Mapping[str, float]], n: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Return each value of a statistic with its percentile interval, drawing subjects within their classes.

    Drawn here, because :func:`scipy.stats.bootstrap` refuses a class of one subject.

    Args:
        labels: classes (N,).
        statistic: maps indices of subjects to named values.
        n: number of draws.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    draws = [statistic(np.concatenate([rng.choice(group, len(group)) for group in groups])) for _ in range(n)]
    values = statistic(np.arange(len(labels)))
    return {
        name: Interval(value, *(float(end) for end in np.nanquantile([draw[name] for draw in draws], (0.025, 0.975))))
        for name, value in values.items()
    }


def rate_intervals(
    labels: np.ndarray, chosen: np.ndarray, statistic: Callable[[np.ndarray], Mapping[str, float]]
) -> dict[str, Interval]:
    """Return the intervals of :func:`stratified_bootstrap`, but exact ones where a bootstrap is not fit.

    Clopper-Pearson for accuracy and weighted recall of fewer than :data:`csvd.metrics.exact.FEW` subjects. Rates that
    average over classes are 1 or 0 when all or none of the subjects are named right, and take the interval of that
    share; mean areas take the one of :func:`auc_interval` for the smallest class. A calibration error of 0 keeps its
    bootstrap interval.

    Args:
        labels: true classes (N,).
        chosen: classes (N,) that the classifier or reader named.
        statistic: maps indices of subjects to named values, those of :func:`class_rates` and :data:`AREAS` among them.
    """
    intervals = stratified_bootstrap(labels, statistic)
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    for name, one in intervals.items():
        if name in AREAS and one.value in (0, 1):
            intervals[name] = exact_share(round(one.value) * smallest, smallest)
        elif name in SHARES and len(labels) < FEW:
            intervals[name] = exact_share(int((labels == chosen).sum()), len(labels))
        elif "error" not in name and one.value in (0, 1):
            intervals[name] = exact_share(round(one.value) * len(labels), len(labels))
    return intervals


def placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each positive and each negative subject, the share of the others that it beats (ties count half).

    Their means are both the area under the ROC curve; their variances give its error (DeLong et al. 1988, section 3).

    Raises:
        ValueError: all subjects have the class, or none has.
    """
    if positive.all() or not positive.any():
        raise ValueError(
            f"cannot draw a ROC curve: {int(positive.sum())} of {len(positive)} subjects have the class, and both "
            "those with and those without are needed."
        )
    ahead, behind = scores[positive], scores[~positive]
    wins = (ahead[:, None] > behind) + 0.5 * (ahead[:, None] == behind)
    return wins.mean(axis=1), wins.mean(axis=0)


def auc_interval(positive: np.ndarray, scores: np.ndarray) -> Interval:
    """Return the area under the ROC curve with DeLong's interval [1]_, on the logit scale so that it stays in 0..1.

    An area of 0 or 1 has no variance: its interval is that of Clopper and Pearson for as many pairs of a subject with
    and one without the class as share no subject, all or none of them in the right order.

    Args:
        positive: whether each subject (N,) has the class.
        scores: (N,), higher for surer.

    Raises:
        ValueError: all subjects have the class, or none has.

    References:
        .. [1] DeLong et al., Biometrics 44:837, 1988. https://doi.org/10.2307/2531595
    """
    parts = placements(positive, scores)
    auc = float(parts[0].mean())
    variance = _variance(parts)
    if auc in (0, 1):
        pairs = min(map(len, parts))
        return exact_share(round(auc) * pairs, pairs)
    if variance == 0:
        return Interval(auc, auc, auc)
    spread = norm.ppf(0.975) * np.sqrt(variance) / (auc * (1 - auc))
    low, high = (1 / (1 + np.exp(-(np.log(auc / (1 - auc)) + side * spread))) for side in (-1, 1))
    return Interval(auc, float(low), float(high))


def auc_difference(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[Interval, float]:
    """Return the area of ``first`` minus that of ``second`` on the same subjects, with DeLong's interval, and p [1]_.

    p is that of equal areas. Where no subject is ranked otherwise, the difference has no variance: its interval has no
    width, and p is 1, or 0 where there is a difference.

    Args:
        positive: whether each subject (N,) has the class.
        first, second: scores (N,), higher for surer.

    Raises:
        ValueError: all subjects have the class, or none has.

    References:
        .. [1] DeLong et al., Biometrics 44:837, 1988. https://doi.org/10.2307/2531595
    """
    pairs = zip(placements(positive, first), placements(positive, second), strict=True)
    apart = tuple(one - other for one, other in pairs)
    difference, error = float(apart[0].mean()), np.sqrt(_variance(apart))
    spread = norm.ppf(0.975) * error
    p = float(2 * norm.sf(abs(difference) / error)) if error else float(difference == 0)
    return Interval(difference, max(-1.0, difference - spread), min(1.0, difference + spread)), p


def _variance(parts: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the variance of the mean of :func:`placements`, or of a difference of two of them."""
    return sum(float(part.var(ddof=1)) / len(part) for part in parts if len(part) > 1)


def compare_readers(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Return McNemar's exact p-value for two readers, or a reader and a classifier, being right equally often.

    Args:
        labels: true classes (N,).
        first, second: classes (N,) that each named.
    """
    right = [predicted == labels for predicted in (first, second)]
    table = [[int(((right[0] == a) & (right[1] == b)).sum()) for b in (True, False)] for a in (True, False)]
    return float(mcnemar(table, exact=True).pvalue)


def fleiss_kappa(predicted: np.ndarray) -> float:
    """Return Fleiss' kappa of classes (N, R) that R raters named for N subjects; NaN when all named one class."""
    table, _ = aggregate_raters(predicted)
    return float(kappa_of_table(table)) if table.shape[1] > 1 else float("nan")
