"""Lesion-wise metrics."""

from .calibration import (
    OPERATING_POINTS,
    Reliability,
    fit_calibration,
    fit_platt,
    kind_calibration,
    operating_threshold,
    operating_thresholds,
    reliability,
)
from .exact import FEW
from .froc import FROC, FROCMetric, froc, tpr_at_fps
from .lesion_metric import LesionMetric
from .matching import COUNTS, MATCHES, count_lesions
from .points import count_points, pair_points
from .rates import RATES, pooled_rates, subject_medians
from .scan_score import RULES, ScanScore, score_masks, score_points
from .summary import bootstrap_ci, summarize_cohort

__all__ = [
    "COUNTS",
    "FEW",
    "FROC",
    "MATCHES",
    "OPERATING_POINTS",
    "RATES",
    "RULES",
    "FROCMetric",
    "LesionMetric",
    "Reliability",
    "ScanScore",
    "bootstrap_ci",
    "count_lesions",
    "count_points",
    "fit_calibration",
    "fit_platt",
    "froc",
    "kind_calibration",
    "operating_threshold",
    "operating_thresholds",
    "pair_points",
    "pooled_rates",
    "reliability",
    "score_masks",
    "score_points",
    "subject_medians",
    "summarize_cohort",
    "tpr_at_fps",
]
