"""Results as DICOM objects that reference the scan's own: segmentation and structured report. Needs highdicom."""

from .source import Plane, Source, find_source
from .writer import write_dicom

__all__ = ["Plane", "Source", "find_source", "write_dicom"]
