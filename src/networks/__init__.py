"""Networks."""

from .attention_mil import AttentionMIL, AttentionPooling
from .cascade import CascadeNetwork, calibrated, read_places
from .classifier_arm import ClassifierArm
from .dot_classifier import DotClassifier
from .dot_ensemble import DotEnsemble
from .five_block import FiveBlockCNN
from .mean_of_folds import MeanOfFolds
from .residual import ResidualPatchClassifier
from .sequence import SequenceClassifier
from .shallow_unet import ShallowUNet
from .slice_mask_rcnn import SliceMaskRCNN
from .student import StudentClassifier
from .subtype import SubtypeNetwork
from .teacher import MultiTaskTeacher

__all__ = [
    "AttentionMIL",
    "AttentionPooling",
    "CascadeNetwork",
    "ClassifierArm",
    "DotClassifier",
    "DotEnsemble",
    "FiveBlockCNN",
    "MeanOfFolds",
    "MultiTaskTeacher",
    "ResidualPatchClassifier",
    "SequenceClassifier",
    "ShallowUNet",
    "SliceMaskRCNN",
    "StudentClassifier",
    "SubtypeNetwork",
    "calibrated",
    "read_places",
]
