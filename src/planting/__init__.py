"""Microbleeds and their mimics as shapes, and patches into which they are planted, for training."""

from .draws import Draws
from .patches import Kind, Planted, plant_patches

__all__ = ["Draws", "Kind", "Planted", "plant_patches"]
