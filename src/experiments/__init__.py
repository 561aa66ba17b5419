"""Tables of results as commands."""

from .ablation import ablation
from .classification import evaluate_classification
from .components import components
from .crossval import crossval
from .csvd_crossval import csvd_crossval
from .discriminators import discriminators
from .evaluation import evaluate_cohort, operating_points, write_evaluation
from .generalize import generalize
from .leave_out import leave_out
from .seeds import seeds
from .sizes import FULL, QUICK, Size
from .study import Study
from .transfer import transfer

__all__ = [
    "FULL",
    "QUICK",
    "Size",
    "Study",
    "ablation",
    "components",
    "crossval",
    "csvd_crossval",
    "discriminators",
    "evaluate_classification",
    "evaluate_cohort",
    "generalize",
    "leave_out",
    "operating_points",
    "seeds",
    "transfer",
    "write_evaluation",
]
