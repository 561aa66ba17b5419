"""DICOM: series read and converted, results written as segmentation and structured report."""

from .choice import Converted, choose_scan, convert_dicom

__all__ = ["Converted", "choose_scan", "convert_dicom"]
