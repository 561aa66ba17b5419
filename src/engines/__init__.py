"""Trainers and handlers on top of MONAI's."""

from .best import EarlyStop, SaveBest
from .distillation import CopyWeights, DistillationTrainer, HardNegativeReplay
from .resume import Resume

__all__ = ["CopyWeights", "DistillationTrainer", "EarlyStop", "HardNegativeReplay", "Resume", "SaveBest"]
