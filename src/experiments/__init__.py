"""Tables of results as commands."""

from .ablation import ablation
from .components import components
from .crossval import crossval
from .evaluation import evaluate_cohort, operating_points, write_evaluation
from .generalize import generalize
from .sizes import FULL, QUICK, Size
from .study import Study

__all__ = [
    "FULL",
    "QUICK",
    "Size",
    "Study",
    "ablation",
    "components",
    "crossval",
    "evaluate_cohort",
    "generalize",
    "operating_points",
    "write_evaluation",
]
