"""Tables of results as commands."""

from .evaluation import evaluate_cohort, operating_points, write_evaluation

__all__ = ["evaluate_cohort", "operating_points", "write_evaluation"]
