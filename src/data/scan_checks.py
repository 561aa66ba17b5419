"""Checks of a NIfTI scan before any work is done on it, in one pass over the file."""

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from ..checks import InputError, corners_apart

MIN_VOXELS = 8
"""Voxels that each axis of a scan needs: the smallest patch in which a microbleed has a neighbourhood."""

POINTER_BYTES = 32768  # git-annex takes no longer file for a pointer


@dataclass(frozen=True)
class ScanInfo:
    """What the header of an accepted scan says.

    Attributes:
        path: the file.
        shape: voxels along the three spatial axes, as stored.
        voxel_mm: their sizes, from the affine.
        axcodes: directions in which the axes grow, for example ``("R", "A", "S")``.
        volumes: number of volumes, 1 for a 3-D scan.
        dtype: stored type of a voxel, for example ``"int16"``.
        notes: what is unusual but allowed, one sentence each.
    """

    path: Path
    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    axcodes: tuple[str, str, str]
    volumes: int
    dtype: str
    notes: tuple[str, ...] = ()


def check_scan(path: str | os.PathLike[str], mask: str | os.PathLike[str] | None = None) -> ScanInfo:
    """Return what the header of a NIfTI scan says, after checking header and voxels, one volume in memory at a time.

    Args:
        path: scan, ``.nii`` or ``.nii.gz``, 3-D or 4-D (the last axis counts volumes).
        mask: brain mask on the grid of the scan.

    Raises:
        InputError: the scan or the mask cannot be read, lacks three spatial axes of 8 voxels with a positive size, has
            a singular affine, complex or colour voxels, NaN or infinite voxels, or a volume with a single value (the
            mask: no voxel but 0); the mask has another grid than the scan.
    """
    path = Path(path)
    header, affine = _read(path, f"scan '{path}'", _check_volume)
    if mask is not None:
        _check_mask(Path(mask), path, header, affine)
    stored = header.get_data_shape()
    oriented = header["sform_code"] > 0 or header["qform_code"] > 0
    return ScanInfo(
        path=path,
        shape=stored[:3],
        voxel_mm=tuple(nib.affines.voxel_sizes(affine).tolist()),
        axcodes=nib.aff2axcodes(affine),
        volumes=prod(stored[3:]),
        dtype=str(header.get_data_dtype().newbyteorder("=")),
        notes=() if oriented else ("its header states no orientation: sides and world coordinates are a guess",),
    )


def _read(
    path: Path, name: str, check_volume: Callable[[np.ndarray, str], None]
) -> tuple[nib.Nifti1Header, np.ndarray]:
    """Check the header and each volume of a file; return the header, repaired as NiBabel does, and the affine."""
    _check_present(path, name)
    if not path.is_file() or not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"{name} is not a .nii or .nii.gz file: convert it to NIfTI.")
    try:
        with _open(path) as file:
            header = _read_header(file, name)
            _check_header(header, name)
            affine = _read_affine(header, name)
            for index, volume in enumerate(_volumes(file, header)):
                check_volume(volume, f"{name}, volume {index}," if len(header.get_data_shape()) > 3 else name)
    except gzip.BadGzipFile as error:
        raise InputError(f"{name} is not a sound gzip file ({error}): copy or compress it again.") from None
    except (EOFError, zlib.error, MemoryError):
        raise InputError(f"{name} is truncated or damaged: it ends before its last voxel. Copy it again.") from None
    except HeaderDataError as error:
        raise InputError(f"{name} has a damaged header ({error}): convert it again.") from None
    return header, affine


def _check_present(path: Path, name: str) -> None:
    """Check that there is content, which DataLad and git-annex keep elsewhere until it is asked for."""
    get = f"Get its content first: `datalad get '{path}'`, or `git annex get`."
    if path.is_symlink() and not path.exists():
        raise InputError(f"{name} is a link to '{os.readlink(path)}', which is not here. {get}")
    if not path.exists():
        raise InputError(f"{name} does not exist: check the path.")
    if path.is_file() and path.stat().st_size < POINTER_BYTES and path.read_bytes().startswith(b"/annex/objects/"):
        raise InputError(f"{name} is a pointer of git-annex, not an image. {get}")


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _read_header(file: IO[bytes], name: str) -> nib.Nifti1Header:
    """Read the header as stored: NiBabel's own reader repairs voxel sizes without a word."""
    block = file.read(nib.Nifti2Header.sizeof_hdr)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if kind.may_contain_header(block):
            return kind(block[: kind.sizeof_hdr], check=False)
    raise InputError(f"{name} is not NIfTI: its header lacks the mark 'n+1'. Convert it to NIfTI.")


def _check_header(header: nib.Nifti1Header, name: str) -> None:
    """Check what is stored, then repair the rest in place as NiBabel does when it loads the file."""
    shape = header.get_data_shape()
    if len(shape) not in (3, 4):
        raise InputError(
            f"{name} must have 3 dimensions, or 4 with volumes last, it has {len(shape)}: its shape is {shape}. "
            "Extract one volume."
        )
    if min(shape[:3]) < MIN_VOXELS:
        raise InputError(
            f"{name} must have at least {MIN_VOXELS} voxels along each axis, its shape is {shape}. Give the whole scan."
        )
    sizes = header["pixdim"][1:4]
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError(
            f"{name} must have voxel sizes above 0 mm, its header says {_listed(sizes)}. Correct pixdim, or "
            "convert the scan again."
        )
    header.check_fix(logger=logging.Logger("csvd", level=logging.CRITICAL))  # NiBabel's own prints its repairs
    header.get_slope_inter()  # refuses a scale that is not finite
    if header.get_data_dtype().kind not in "iuf":
        raise InputError(
            f"{name} must hold real numbers, its data type is {header.get_data_dtype()}. Save its magnitude as float32."
        )


def _read_affine(header: nib.Nifti1Header, name: str) -> np.ndarray:
    """Return the affine (4, 4) that NiBabel chooses: sform, else qform, else voxel sizes alone."""
    affine = header.get_best_affine()
    axes = affine[:3, :3]
    volume = abs(np.linalg.det(axes)) if np.isfinite(affine).all() else np.nan
    if not volume > 1e-3 * np.linalg.norm(axes, axis=0).prod():
        raise InputError(
            f"{name} must have an affine that can be inverted, the axes of its voxels are {_listed(axes.T)} mm "
            f"(determinant {volume:.3g}). Correct its sform or qform."
        )
    return affine


def _volumes(file: IO[bytes], header: nib.Nifti1Header) -> Iterator[np.ndarray]:
    """Yield the volumes as stored, unscaled, (X, Y, Z)."""
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    file.seek(header.get_data_offset())
    for _ in range(prod(shape[3:])):
        block = file.read(prod(shape[:3]) * dtype.itemsize)
        if len(block) < prod(shape[:3]) * dtype.itemsize:
            raise EOFError
        yield np.frombuffer(block, dtype).reshape(shape[:3], order="F")
    file.read(1)  # the end of a gzip file holds its checksum


def _check_volume(volume: np.ndarray, name: str) -> None:
    _check_finite(volume, name)
    if volume.min() == volume.max():
        raise InputError(f"{name} must not be constant, all its voxels are {volume.flat[0]}. Give a scan of a head.")


def _check_mask_volume(volume: np.ndarray, name: str) -> None:
    _check_finite(volume, name)
    if not volume.any():
        raise InputError(f"{name} must not be empty, all its voxels are 0. Leave the mask out, or draw it again.")


def _check_finite(volume: np.ndarray, name: str) -> None:
    bad = ~np.isfinite(volume) if volume.dtype.kind == "f" else np.zeros(0, bool)
    if bad.any():
        first = tuple(int(axis[0]) for axis in bad.nonzero())
        raise InputError(
            f"{name} must be finite everywhere, {bad.sum()} of its {bad.size} voxels are NaN or infinite, the first at "
            f"voxel {first}. Replace them, for example with zeros outside the head."
        )


def _check_mask(mask: Path, path: Path, header: nib.Nifti1Header, affine: np.ndarray) -> None:
    mask_header, mask_affine = _read(mask, f"mask '{mask}'", _check_mask_volume)
    shape, mask_shape = header.get_data_shape()[:3], mask_header.get_data_shape()
    if mask_shape[:3] != shape or prod(mask_shape) != prod(shape):
        raise InputError(
            f"mask '{mask}' must have the shape of its scan '{path}', it is {mask_shape}, not {shape}. "
            "Resample the mask to the scan."
        )
    shift = corners_apart(affine, mask_affine, shape)
    if shift:
        raise InputError(
            f"mask '{mask}' must have the affine of its scan '{path}', their corners lie {shift:.3g} mm apart. "
            "Resample the mask to the scan."
        )


def _listed(values: np.ndarray) -> str:
    return str(np.round(values.astype(float), 4).tolist())
