"""Networks."""

from .attention_mil import AttentionMIL, AttentionPooling
from .cascade import CascadeNetwork, calibrated, read_location_prior
from .classifier_arm import ClassifierArm
from .five_block import FiveBlockCNN
from .mean_of_folds import MeanOfFolds
from .patch_classifier import PatchClassifier
from .patch_ensemble import PatchEnsemble
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
    "FiveBlockCNN",
    "MeanOfFolds",
    "MultiTaskTeacher",
    "PatchClassifier",
    "PatchEnsemble",
    "ResidualPatchClassifier",
    "SequenceClassifier",
    "ShallowUNet",
    "SliceMaskRCNN",
    "StudentClassifier",
    "SubtypeNetwork",
    "calibrated",
    "read_location_prior",
]
