"""Rates over subjects from lesion counts."""

import torch


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
    # Of counts, not of rates: 20 / 32 is 0.625 to the last bit, which a table rounds to 0.62.
    f1 = 2 / (lesions / found + detections / (detections - false_positives))
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
