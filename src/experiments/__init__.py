"""Tables of results as commands."""

from .ablation import ablation
from .classification import evaluate_classification
from .components import components
from .crossval import crossval
from .csvd_crossval import csvd_crossval
from .discriminators import discriminators
from .distillation import compare_students, distillation
from .evaluation import evaluate_cohort
from .evaluation_figures import cohort_curves, cohort_figures
from .evaluation_tables import as_json, write_evaluation
from .federated import federated
from .generalize import generalize
from .leave_out import leave_out
from .seeds import seeds
from .sequences import sequences
from .sizes import FULL, QUICK, Size
from .study import Study
from .subtypes import subtypes
from .transfer import transfer

__all__ = [
    "FULL",
    "QUICK",
    "Size",
    "Study",
    "ablation",
    "as_json",
    "cohort_curves",
    "cohort_figures",
    "compare_students",
    "components",
    "crossval",
    "csvd_crossval",
    "discriminators",
    "distillation",
    "evaluate_classification",
    "evaluate_cohort",
    "federated",
    "generalize",
    "leave_out",
    "seeds",
    "sequences",
    "subtypes",
    "transfer",
    "write_evaluation",
]
