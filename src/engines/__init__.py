"""Trainers and handlers on top of MONAI's."""

from .best import EarlyStop, SaveBest
from .calibration import Calibration
from .distillation import DistillationTrainer, HardNegativeReplay
from .resume import Resume
from .stages import Stage, Stages
from .weights import load_weights, save_weights

__all__ = [
    "Calibration",
    "DistillationTrainer",
    "EarlyStop",
    "HardNegativeReplay",
    "Resume",
    "SaveBest",
    "Stage",
    "Stages",
    "load_weights",
    "save_weights",
]
