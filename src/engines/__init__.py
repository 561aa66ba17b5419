"""Handlers on top of MONAI's."""

from .best import EarlyStop, SaveBest
from .resume import Resume

__all__ = ["EarlyStop", "Resume", "SaveBest"]
