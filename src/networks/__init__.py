"""Networks."""

from .cascade import CascadeNetwork, calibrated
from .classifier_arm import ClassifierArm
from .shallow_unet import ShallowUNet
from .student import StudentClassifier
from .teacher import MultiTaskTeacher

__all__ = ["CascadeNetwork", "ClassifierArm", "MultiTaskTeacher", "ShallowUNet", "StudentClassifier", "calibrated"]
