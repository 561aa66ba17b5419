"""NIfTI files as every part of csvd reads them, whatever wrote them.

NiBabel refuses or misreads some headers that ITK, and so 3D Slicer, reads. They are repaired here: a file of one volume
has three axes, however many of length 1 or 0 follow; a quaternion is not longer than 1; voxels start behind the header;
lengths are in mm.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from ..checks import InputError, corners_apart
from .nifti_files import check_present, check_size

TO_MM = {1: 1000.0, 3: 0.001}
"""Factor of the codes of ``xyzt_units`` that are not mm: metre and micron. Unknown units are mm, as in ITK."""

LONGEST_QUATERNION = 1.01
"""Length of a quaternion (b, c, d) that rounding explains, as text of a few digits does; longer ones are an error."""

MOST_BYTES = 2**29
"""Decompressed content that :func:`read_once` keeps in memory; of longer files each reader decompresses its own."""

_read: ContextVar[dict[Path, bytes] | None] = ContextVar("read", default=None)


def load_nifti(path: str | os.PathLike[str], what: str = "file", in_mm: bool = True) -> nib.Nifti1Image:
    """Return a NIfTI file as an image of NiBabel, which reads its voxels when they are asked for.

    Args:
        path: ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.
        what: word for the file in errors, for example "label".
        in_mm: header and affine in mm, whatever unit the file has. ``False`` keeps its unit, to write beside it.

    Raises:
        InputError: the file is not there, is not NIfTI, or has a header that cannot be read.
    """
    name, path = f"{what} '{path}'", Path(path)
    with open_nifti(path, name) as file:
        header = read_header(file, name)
        repair(header, name)
        check_size(path, header, name)
    if in_mm:
        to_mm(header)
    affine = read_affine(header, name)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    content = (_read.get() or {}).get(path)
    voxels = io.BytesIO(content) if content else str(path)
    return kind(kind.ImageArrayProxy(voxels, header), affine, header, file_map=kind.filespec_to_file_map(path))


@contextmanager
def read_once() -> Iterator[None]:
    """Decompress each ``.nii.gz`` file once that is opened in the block, for all who read it there."""
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


@contextmanager
def open_nifti(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a ``.nii`` or ``.nii.gz`` file, decompressed; what fails in the block is an InputError that names it."""
    check_present(path, name)
    if not path.is_file() or not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{name} is not a .nii or .nii.gz file: convert it to NIfTI.")
    with readable(name), _open_gzip(path, name) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        yield file


def _open_gzip(path: Path, name: str) -> IO[bytes]:
    """Open a compressed file, or what :func:`read_once` has of it."""
    contents = _read.get()
    if contents is not None and path not in contents:
        with gzip.open(path) as file:
            start = file.read(nib.Nifti2Header.sizeof_hdr)
            length = check_size(path, read_header(io.BytesIO(start), name), name)
            # One byte more: the end of a gzip file holds its checksum.
            contents[path] = b"" if length > MOST_BYTES else start + file.read(max(0, length + 1 - len(start)))
    content = (contents or {}).get(path, b"")
    return io.BytesIO(content) if content else cast(IO[bytes], gzip.open(path))


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what a damaged file raises into an InputError that names it."""
    try:
        yield
    except gzip.BadGzipFile as error:
        raise InputError(f"{name} is not a sound gzip file ({error}): copy or compress it again.") from None
    except (EOFError, zlib.error, MemoryError):
        raise InputError(f"{name} is truncated or damaged: it ends before its last voxel. Copy it again.") from None
    except HeaderDataError as error:
        raise InputError(f"{name} has a damaged header ({error}): convert it again.") from None


def read_header(file: IO[bytes], name: str) -> nib.Nifti1Header:
    """Return the header as stored, without its extensions, but for the shape and for where the voxels start.

    Raises:
        InputError: it is not that of a NIfTI file which has its voxels in it.
    """
    block = file.read(nib.Nifti2Header.sizeof_hdr)
    kinds = [kind for kind in (nib.Nifti1Header, nib.Nifti2Header) if kind.may_contain_header(block)]
    if not kinds:
        raise InputError(f"{name} is not NIfTI: its header lacks the mark 'n+1'. Convert it to NIfTI.")
    header = kinds[0](block[: kinds[0].sizeof_hdr], check=False)
    if header["magic"].item() == header.pair_magic:
        raise InputError(f"{name} is the header of a pair of files (.hdr, .img): convert them to one NIfTI file.")
    if header["vox_offset"] == 0:
        header["vox_offset"] = header.single_vox_offset
    if not np.isfinite(header["vox_offset"]):
        raise InputError(f"{name} has a damaged header (vox_offset is {header['vox_offset']}): convert it again.")
    _repair_shape(header)
    return header


def repair(header: nib.Nifti1Header, name: str) -> None:
    """Repair a header in place, as NiBabel does when it loads a file, and the quaternion too.

    Raises:
        HeaderDataError: NiBabel cannot repair it.
        InputError: voxels are complex or colours, or the affine would come from a quaternion that is far too long.
    """
    header.check_fix(logger=logging.Logger("csvd", level=logging.CRITICAL))  # NiBabel's own prints its repairs
    header.get_slope_inter()  # refuses a scale that is not finite
    if header.get_data_dtype().kind not in "iuf":
        raise InputError(
            f"{name} must hold real numbers, its data type is {header.get_data_dtype()}. Save its magnitude as float32."
        )
    _repair_quaternion(header, name)


def read_affine(header: nib.Nifti1Header, name: str) -> np.ndarray:
    """Return the affine (4, 4) that NiBabel chooses: sform, else qform, else voxel sizes alone.

    Raises:
        InputError: it cannot be inverted.
    """
    affine = header.get_best_affine()
    axes = affine[:3, :3]
    volume = abs(np.linalg.det(axes)) if np.isfinite(affine).all() else np.nan
    if not volume > 1e-3 * np.linalg.norm(axes, axis=0).prod():
        raise InputError(
            f"{name} must have an affine that can be inverted, the axes of its voxels are "
            f"{np.round(axes.T, 4).tolist()} mm (determinant {volume:.3g}). Correct its sform or qform."
        )
    return affine


def to_mm(header: nib.Nifti1Header) -> None:
    """Change the unit of length of a header to mm, in place, where it is metre or micron."""
    code = int(header["xyzt_units"]) % 8
    if code in TO_MM:
        for row in ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z"):
            header[row] = header[row] * TO_MM[code]
        header["pixdim"][1:4] = header["pixdim"][1:4] * TO_MM[code]
        header["xyzt_units"] = header["xyzt_units"] - code + 2


def axes_onto(
    name: str,
    affine: np.ndarray,
    shape: Sequence[int],
    scan_name: str,
    scan_affine: np.ndarray,
    scan_shape: Sequence[int],
) -> np.ndarray:
    """Return how to reorder the axes of a label or mask to get the voxels of its scan.

    Args:
        name, scan_name: words for both files, in errors.
        affine, shape: grid of the label, voxel to mm, (4, 4), and voxels along its axes.
        scan_affine, scan_shape: that of the scan.

    Returns:
        Orientation (3, 2) for :func:`nibabel.apply_orientation`: to each axis that of the scan, and -1 where flipped.

    Raises:
        InputError: after reordering, the shape is another, or corners lie apart by more than a tenth of a voxel.
    """
    steps = np.linalg.inv(scan_affine[:3, :3]) @ affine[:3, :3]  # column: an axis of the label, in voxels of the scan
    order = np.abs(steps).argmax(axis=0)
    order = order if len(set(order)) == 3 else np.arange(3)
    onto = np.stack([order, np.where(steps[order, range(3)] < 0, -1, 1)], axis=1)
    fits = len(shape) == 3 and all(scan_shape[order[axis]] == shape[axis] for axis in range(3))
    if not fits and tuple(shape) != tuple(scan_shape):
        raise InputError(
            f"{name} must have the shape of {scan_name}, it is {tuple(shape)}, not {tuple(scan_shape)}. "
            "Resample it to the scan."
        )
    reordered = affine @ nib.orientations.inv_ornt_aff(onto, shape) if fits else affine
    shift = corners_apart(scan_affine, reordered, scan_shape)
    if shift:
        raise InputError(
            f"{name} must have the affine of {scan_name}, their corners lie {shift:.3g} mm apart. "
            "Resample it to the scan."
        )
    return onto


def _repair_shape(header: nib.Nifti1Header) -> None:
    """Take axes behind the third that are 0 for 1, and those of length 1 at the end away."""
    count = int(header["dim"][0])
    if 3 < count < 8:
        behind = np.maximum(header["dim"][4 : count + 1], 1)
        used = int(np.flatnonzero(behind > 1).max(initial=-1)) + 1
        header["dim"][0], header["dim"][4 : count + 1] = 3 + used, behind


def _repair_quaternion(header: nib.Nifti1Header, name: str) -> None:
    """Shorten a quaternion that is longer than 1, as ITK does: NiBabel refuses it."""
    fields = ("quatern_b", "quatern_c", "quatern_d")
    values = np.array([header[field] for field in fields], dtype=np.float64)
    length = float(np.linalg.norm(values))
    if header["qform_code"] > 0 and header["sform_code"] <= 0 and length > LONGEST_QUATERNION:
        raise InputError(
            f"{name} must have a qform with a quaternion of length 1 at most, that of (b, c, d) is {length:.4g}. "
            "Correct its qform, or convert it again."
        )
    if length**2 > 1 + abs(header.quaternion_threshold) / 2:
        for field, value in zip(fields, values / length, strict=True):
            header[field] = value
