"""Formats: files are read and written here, each format in one room."""

from ..checks import InputError
from .bids import (
    bids_name,
    bids_root,
    check_derivative,
    derivative_path,
    is_bids,
    read_sidecar,
    source_of,
    write_dataset,
    write_derivative,
)
from .cases import Case, find_cases, find_items
from .cohort_table import ALL_LESIONS_COLUMNS, read_rows, write_all_lesions, write_cohort_table
from .content import digest, item_digest, settings_digest
from .datalist import load_datalist, select_fold
from .dicom import Converted, choose_scan, convert_dicom
from .disk_cache import DiskCacheDataset
from .files import check_output
from .layouts import LAYOUTS, read_layout
from .lesion_tables import write_candidates, write_lesions
from .phase import find_phase
from .reader import NiftiReader
from .scan_checks import ScanInfo, check_scan
from .sequence import ReadSequenced, names_swi, sequence_of_name, sequence_of_tags
from .slicer import not_reviewed, slicer_items, write_markups
from .subjects import ReadSubjectd, balanced_sampler, load_subjects, read_age, read_sex, read_subtype
from .subtype_table import write_subtypes
from .tables import read_table, write_table

__all__ = [
    "ALL_LESIONS_COLUMNS",
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
    "check_derivative",
    "check_output",
    "check_scan",
    "choose_scan",
    "convert_dicom",
    "derivative_path",
    "digest",
    "find_cases",
    "find_items",
    "find_phase",
    "is_bids",
    "item_digest",
    "load_datalist",
    "load_subjects",
    "names_swi",
    "not_reviewed",
    "read_age",
    "read_layout",
    "read_rows",
    "read_sex",
    "read_sidecar",
    "read_subtype",
    "read_table",
    "select_fold",
    "sequence_of_name",
    "sequence_of_tags",
    "settings_digest",
    "slicer_items",
    "source_of",
    "write_all_lesions",
    "write_candidates",
    "write_cohort_table",
    "write_dataset",
    "write_derivative",
    "write_lesions",
    "write_markups",
    "write_subtypes",
    "write_table",
]
