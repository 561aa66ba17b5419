"""Lesion-wise metrics."""

from .froc import FROC, FROCMetric, froc, knee_point, tpr_at_fps
from .lesion_metric import LesionMetric
from .matching import COUNTS, MATCHES, count_lesions
from .rates import RATES, bootstrap_ci, pooled_rates, subject_medians, summarize_cohort

__all__ = [
    "COUNTS",
    "FROC",
    "MATCHES",
    "RATES",
    "FROCMetric",
    "LesionMetric",
    "bootstrap_ci",
    "count_lesions",
    "froc",
    "knee_point",
    "pooled_rates",
    "subject_medians",
    "summarize_cohort",
    "tpr_at_fps",
]
