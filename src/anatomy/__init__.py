"""Anatomy: registration to MNI152, regions, sides, and the regions of the rating scale MARS."""

from .affine import apply_affine
from .mars import MARS, mars_at
from .regions import REGIONS, region_at
from .registration import Alignment, align_to_mni

__all__ = ["MARS", "REGIONS", "Alignment", "align_to_mni", "apply_affine", "mars_at", "region_at"]
