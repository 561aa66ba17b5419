"""BIDS: folders and sidecars read, results written as a derivative."""

from .derivative import check_derivative, derivative_path, write_dataset, write_derivative
from .description import source_of
from .folders import is_bids
from .sidecars import bids_name, bids_root, read_sidecar

__all__ = [
    "bids_name",
    "bids_root",
    "check_derivative",
    "derivative_path",
    "is_bids",
    "read_sidecar",
    "source_of",
    "write_dataset",
    "write_derivative",
]
