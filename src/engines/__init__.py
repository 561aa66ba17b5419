"""Trainers and handlers on top of MONAI's."""

from .best import EarlyStop, SaveBest
from .calibration import Calibration
from .distillation import DistillationTrainer, HardNegativeReplay
from .distributed import local_device, share, start, stop
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
    "local_device",
    "save_weights",
    "share",
    "start",
    "stop",
]
