"""DICOM: series read and converted, results written as segmentation and structured report."""

from .choice import Converted, choose_scan, convert_dicom, is_dicom_folder

__all__ = ["Converted", "choose_scan", "convert_dicom", "is_dicom_folder"]
