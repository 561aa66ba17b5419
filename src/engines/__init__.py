"""Handlers on top of MONAI's."""

from .resume import Resume
from .best import EarlyStop, SaveBest

__all__ = ["EarlyStop", "Resume", "SaveBest"]
