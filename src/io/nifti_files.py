"""What can be told of a NIfTI file before its voxels are read: whether its content is here, and can be what it says."""

import os
from math import prod
from pathlib import Path

import nibabel as nib
from nibabel.spatialimages import HeaderDataError

from ..checks import InputError

POINTER_BYTES = 32768  # git-annex takes no longer file for a pointer
MOST_VOXELS = 2**30
"""Of a volume: those of a head of 25 cm at a quarter of a millimetre. More are a damaged header, or no memory."""
MOST_PACKED = 1032
"""Bytes that a byte of a gzip file can stand for, a limit of its method."""
LARGE, MOST_PACKED_SCAN = 2**26, 300
"""Bytes of a scan from which it is not read to find that nearly all its voxels are equal, and what tells that."""


def check_present(path: Path, name: str) -> None:
    """Check that there is content, which DataLad and git-annex keep elsewhere until it is asked for."""
    get = f"Get its content first: `datalad get '{path}'`, or `git annex get`."
    if path.is_symlink() and not path.exists():
        raise InputError(f"{name} is a link to '{os.readlink(path)}', which is not here. {get}")
    if not path.exists():
        raise InputError(f"{name} does not exist: check the path.")
    if path.is_file() and path.stat().st_size < POINTER_BYTES and path.read_bytes().startswith(b"/annex/objects/"):
        raise InputError(f"{name} is a pointer of git-annex, not an image. {get}")


def check_size(path: Path, header: nib.Nifti1Header, name: str) -> int:
    """Return how many bytes a file has, decompressed, from its first to its last voxel, by its header.

    Raises:
        InputError: a volume has more than :data:`MOST_VOXELS`, or the file is too small for its voxels.
        HeaderDataError: its type of voxels is unknown.
    """
    shape = header.get_data_shape()
    if prod(shape[:3]) > MOST_VOXELS:
        raise InputError(
            f"{name} must have at most {MOST_VOXELS} voxels in a volume, its header says {shape}. Convert it again, or "
            "crop it."
        )
    try:
        dtype = header.get_data_dtype()
    except KeyError as error:
        raise HeaderDataError(f"data code {error} not recognized") from None
    length = header.get_data_offset() + prod(shape) * dtype.itemsize
    size = path.stat().st_size
    if length > size * (MOST_PACKED if path.name.lower().endswith(".gz") else 1):
        raise InputError(
            f"{name} is truncated or damaged: a file of {size} bytes cannot hold its voxels, by its header {shape} of "
            f"{dtype}. Copy it again."
        )
    return length


def check_packing(path: Path, length: int, name: str) -> None:
    """Check that a scan of ``length`` bytes, decompressed, is not one of the same voxels again and again."""
    size = path.stat().st_size
    if length > LARGE and length > MOST_PACKED_SCAN * size:
        raise InputError(
            f"{name} must be an image of a head, its {length} bytes are compressed to {size}: nearly all its voxels "
            "are equal. Give the scan."
        )
