"""All that is said of how well the lesions of a cohort are found, as one document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from ..metrics import FROC, RULES, ScanScore, froc, summarize_cohort
from ..metrics.cohort_score import bland_altman, challenge_figures, sensitivity_by_size
from .evaluation import THRESHOLDS, Evaluated


def cohort_figures(name: str, scans: Sequence[Evaluated]) -> dict[str, Any]:
    """Return all figures of a cohort; what is not known is NaN, rates by a rule that needs masks are None without any.

    Args:
        name: of the cohort.
        scans: at least one.
    """
    scores = [scan.score for scan in scans]
    counts, volumes = (
        bland_altman([getattr(score, reported) for score in scores], [getattr(score, true) for score in scores])
        for reported, true in (("detections", "lesions"), ("reported_mm3", "volume_mm3"))
    )
    no_masks = {"lesions": None, "found": None} if not any("strict" in score.counts for score in scores) else {}
    return {
        "cohort": name,
        "scans": len(scans),
        "failed": sum(scan.failed for scan in scans),
        "without_lesions": sum(not score.lesions for score in scores),
        "thresholds": _thresholds(scans),
        "rates": {rule: _rates(scores, rule) for rule in RULES},
        "valdo": {figure: asdict(quartiles) for figure, quartiles in challenge_figures(scores).items()},
        "sizes": [asdict(one) | no_masks for one in sensitivity_by_size(scores)],
        "agreement": {"count": asdict(counts), "volume_mm3": asdict(volumes)},
        "each": [_figures_of(scan) for scan in scans],
    }


def cohort_curves(name: str, scans: Sequence[Evaluated]) -> dict[str, FROC]:
    """Return the FROC curves of a cohort by its name and the matching rule."""
    curves = {}
    for rule in RULES:
        counts = [scan.curves[rule] for scan in scans if rule in scan.curves]
        if counts:
            curves[f"{name}, {rule}"] = froc(torch.stack(counts), THRESHOLDS, rule)
    return curves


def _thresholds(scans: Sequence[Evaluated]) -> dict[str, list[float]]:
    """Return the thresholds that were used for scans of each contrast."""
    used = sorted({(scan.row["contrast"], scan.row["threshold"]) for scan in scans if not scan.failed})
    return {name: [threshold for contrast, threshold in used if contrast == name] for name, _ in used}


def _rates(scores: Sequence[ScanScore], rule: str) -> dict[str, Any] | None:
    """Return the pooled rates by a rule and the median F1, with 95 % intervals."""
    counts = [score.counts[rule] for score in scores if rule in score.counts]
    if not counts:
        return None
    rows = torch.stack(counts)
    median = summarize_cohort(rows, match=rule, reduction="subject_median")["f1"]
    return {**summarize_cohort(rows, match=rule), "median_f1": median}


def _figures_of(scan: Evaluated) -> dict[str, Any]:
    """Return what is said of a scan."""
    score = scan.score
    columns = {key: scan.row.get(key) for key in ("case", "status", "reason", "contrast", "sequence", "threshold")}
    figures: dict[str, Any] = {"lesions": score.lesions, "detections": score.detections}
    for rule in RULES:
        counts = score.counts.get(rule)
        found, false = (None, None) if counts is None else (int(counts[1]), int(counts[3]))
        figures |= {f"found_{rule}": found, f"false_{rule}": false}
    return columns | figures | {key: getattr(score, key) for key in ("f1", "dice", "volume_mm3", "reported_mm3")}
