"""The rates of a cohort with confidence intervals: by bootstrap over subjects, or exact of few lesions."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from ..checks import check_one_of
from .exact import Interval, rates_of_few
from .rates import RATES, REDUCTIONS


def bootstrap_ci(
    rows: torch.Tensor, statistic: Callable[[torch.Tensor], torch.Tensor], n: int = 2000, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the 95 % percentile bootstrap interval of a statistic, drawing subjects with replacement.

    Drawn here, because :func:`scipy.stats.bootstrap` returns NaN as soon as a draw has NaN, as one without lesions has.

    Args:
        rows: (S, ...), one row a subject.
        statistic: maps ``n`` cohorts (n, S, ...) to their values (n, ...) in one call. Draws with NaN are left out.
        n: number of draws.
        seed: of the draws; the global generator is left alone.

    Returns:
        Lower and upper end, each of the shape of one value.

    Raises:
        ValueError: there is no subject.
    """
    if len(rows) == 0:
        raise ValueError("cannot draw from 0 subjects: `rows` needs at least one.")
    draws = torch.randint(len(rows), (n, len(rows)), generator=torch.Generator().manual_seed(seed))
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = statistic(rows.cpu()[draws]).double().nanquantile(ends, dim=0)
    return low, high


def summarize_cohort(counts: torch.Tensor, match: str, reduction: str = "pooled", seed: int = 0) -> dict[str, Any]:
    """Return the rates of a cohort with their 95 % intervals and the rules they follow, ready for JSON.

    Intervals are those of :func:`bootstrap_ci`. Pooled rates of 0 or 1, of fewer than 20 lesions, detections or false
    positives, or of one subject have exact ones, of Clopper and Pearson for TPR, precision and F1 and of a Poisson mean
    for false positives, see :func:`csvd.metrics.exact.rates_of_few`.

    Args:
        counts: (S, 4), one row a subject, from :func:`csvd.metrics.count_lesions`.
        match: the rule that made ``counts``, named in the output.
        reduction: "pooled" or "subject_median".
        seed: of the bootstrap.

    Returns:
        ``match``, ``reduction``, ``level``, ``subjects``, ``lesions``, and for each rate ``value``, ``low``, ``high``.

    Raises:
        ValueError: ``reduction`` is neither, or as in :func:`bootstrap_ci`.
    """
    check_one_of("reduction", reduction, REDUCTIONS)

    def rates(cohorts: torch.Tensor) -> torch.Tensor:
        values = REDUCTIONS[reduction](cohorts)
        return torch.stack([values[name] for name in RATES], dim=-1)

    ends = torch.stack([rates(counts.cpu()), *bootstrap_ci(counts, rates, seed=seed)], dim=-1).tolist()
    intervals = {name: Interval(*values) for name, values in zip(RATES, ends, strict=True)}
    if reduction == "pooled":
        intervals |= rates_of_few(counts)
    return {
        "match": match,
        "reduction": reduction,
        "level": 0.95,
        "subjects": len(counts),
        "lesions": int(counts[:, 0].sum()),
        **{name: asdict(interval) for name, interval in intervals.items()},
    }
