"""Rates over subjects from lesion counts, with bootstrap confidence intervals."""

from collections.abc import Callable
from typing import Any

import torch

from ..checks import check_between, check_one_of


def pooled_rates(counts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the rates of all subjects' lesions taken together, as Sundaresan et al. 2023 report them.

    Args:
        counts: (..., S, 4) of S subjects, from :func:`csvd.metrics.count_lesions`.

    Returns:
        Tensors of shape (...), float64: ``tpr`` (found / lesions), ``fps_per_subject``, ``precision`` (true
        detections / detections) and ``f1`` (harmonic mean of ``tpr`` and ``precision``). Without lesions ``tpr`` and
        ``f1``, without detections ``precision`` are NaN; subjects without lesions count for the other rates.
    """
    lesions, found, detections, false_positives = counts.double().sum(dim=-2).unbind(dim=-1)
    tpr = found / lesions
    precision = (detections - false_positives) / detections
    f1 = 2 * tpr * precision / (tpr + precision)
    return {
        "tpr": tpr,
        "fps_per_subject": false_positives / counts.shape[-2],
        "precision": precision,
        "f1": f1.masked_fill((lesions > 0) & (found == 0), 0.0),  # 0 / 0 when nothing is found
    }


def subject_medians(counts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the medians over subjects of each subject's own rates, as the VALDO challenge scores them.

    Args:
        counts: (..., S, 4), as for :func:`pooled_rates`.

    Returns:
        The rates of :func:`pooled_rates`. A subject for whom a rate is NaN is left out of its median, and one without
        lesions out of all but ``fps_per_subject``.
    """
    rates = pooled_rates(counts.unsqueeze(dim=-2))
    has_lesions = counts[..., 0] > 0
    rates["precision"] = rates["precision"].masked_fill(~has_lesions, torch.nan)
    return {name: rate.nanquantile(0.5, dim=-1) for name, rate in rates.items()}


REDUCTIONS = {"pooled": pooled_rates, "subject_median": subject_medians}
RATES = ("tpr", "fps_per_subject", "precision", "f1")


def bootstrap_ci(
    rows: torch.Tensor,
    statistic: Callable[[torch.Tensor], torch.Tensor],
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the percentile bootstrap interval of a statistic, drawing subjects with replacement.

    Args:
        rows: (S, ...), one row a subject.
        statistic: maps ``n`` cohorts (n, S, ...) to their values (n, ...) in one call. Draws with NaN are left out.
        n: number of draws.
        seed: of the draws; the global generator is left alone.
        level: probability that the interval covers.

    Returns:
        Lower and upper end, each of the shape of one value.

    Raises:
        ValueError: there is no subject, or ``level`` lies outside [0, 1].
    """
    check_between("level", level, 0, 1)
    if len(rows) == 0:
        raise ValueError("cannot draw from 0 subjects: `rows` needs at least one.")
    draws = torch.randint(len(rows), (n, len(rows)), generator=torch.Generator().manual_seed(seed))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = statistic(rows.cpu()[draws]).double().nanquantile(ends, dim=0)
    return low, high


def summarize_cohort(
    counts: torch.Tensor, match: str, reduction: str = "pooled", n: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """Return the rates of a cohort with their confidence intervals and the rules they follow, ready for JSON.

    Args:
        counts: (S, 4), one row a subject, from :func:`csvd.metrics.count_lesions`.
        match: the rule that made ``counts``, named in the output.
        reduction: "pooled" or "subject_median".
        n, seed, level: as in :func:`bootstrap_ci`.

    Returns:
        ``match``, ``reduction``, ``level``, ``subjects``, ``lesions``, and for each rate ``value``, ``low``, ``high``.

    Raises:
        ValueError: ``reduction`` is neither, or as in :func:`bootstrap_ci`.
    """
    check_one_of("reduction", reduction, REDUCTIONS)

    def rates(cohorts: torch.Tensor) -> torch.Tensor:
        values = REDUCTIONS[reduction](cohorts)
        return torch.stack([values[name] for name in RATES], dim=-1)

    low, high = bootstrap_ci(counts, rates, n=n, seed=seed, level=level)
    ends = torch.stack([rates(counts.cpu()), low, high], dim=-1).tolist()
    return {
        "match": match,
        "reduction": reduction,
        "level": level,
        "subjects": len(counts),
        "lesions": int(counts[:, 0].sum()),
        **{
            name: dict(zip(("value", "low", "high"), values, strict=True))
            for name, values in zip(RATES, ends, strict=True)
        },
    }
