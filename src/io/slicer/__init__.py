"""3D Slicer: results written as markups, corrections read back."""

from .corrections import not_reviewed, slicer_items
from .points import write_markups

__all__ = ["not_reviewed", "slicer_items", "write_markups"]
