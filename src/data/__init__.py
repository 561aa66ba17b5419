"""What comes in: scans, their checks, DICOM series and data lists."""

from ..checks import InputError
from ..files import check_output
from .bids import is_bids
from .cases import Case, find_cases, find_items
from .content import digest, item_digest, settings_digest
from .datalist import load_datalist, select_fold
from .dicom import Converted, choose_scan, convert_dicom, is_dicom_folder
from .disk_cache import DiskCacheDataset
from .layouts import LAYOUTS, read_layout
from .phase import find_phase
from .reader import NiftiReader
from .scan_checks import ScanInfo, check_scan
from .sequence import ReadSequenced, sequence_of_name, sequence_of_tags
from .sidecars import bids_name, bids_root, read_sidecar
from .slicer import not_reviewed, slicer_items
from .subjects import ReadSubjectd, balanced_sampler, load_subjects, read_age, read_sex, read_subtype

__all__ = [
    "LAYOUTS",
    "Case",
    "Converted",
    "DiskCacheDataset",
    "InputError",
    "NiftiReader",
    "ReadSequenced",
    "ReadSubjectd",
    "ScanInfo",
    "balanced_sampler",
    "bids_name",
    "bids_root",
    "check_output",
    "check_scan",
    "choose_scan",
    "convert_dicom",
    "digest",
    "find_cases",
    "find_items",
    "find_phase",
    "is_bids",
    "is_dicom_folder",
    "item_digest",
    "load_datalist",
    "load_subjects",
    "not_reviewed",
    "read_age",
    "read_layout",
    "read_sex",
    "read_sidecar",
    "read_subtype",
    "select_fold",
    "sequence_of_name",
    "sequence_of_tags",
    "settings_digest",
    "slicer_items",
]
