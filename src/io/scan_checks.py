"""Checks of a NIfTI scan before any work is done on it, in one pass over the file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np

from ..checks import InputError, corners_apart
from .nifti import axes_onto, open_nifti, read_affine, read_header, repair, to_mm
from .nifti_files import check_packing, check_size

MIN_VOXELS = 8
"""Voxels that a slice needs along rows and columns: the smallest patch in which a microbleed has a neighbourhood."""
MIN_SLICES = 3
"""Slices that a scan needs: a slab of three shows a microbleed between its neighbours."""

VOXEL_MM = (0.01, 50.0)
"""Sizes that a voxel of a head may have, in mm: others come from a wrong unit."""

MIN_VALUES, MAX_SHARE = 16, 0.99
"""A scan has at least that many different values, and no more than that share of its voxels has the same one."""
SAMPLE = 10_000
"""Voxels, at most twice as many, that are looked at first: the rest is looked at only where these are a map."""

UNITS = {1: "metre", 2: "mm", 3: "micron"}


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
        warnings: what the user has to be told, one sentence each, with the name of the file.
    """

    path: Path
    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    axcodes: tuple[str, str, str]
    volumes: int
    dtype: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_scan(path: str | os.PathLike[str], mask: str | os.PathLike[str] | None = None) -> ScanInfo:
    """Return what the header of a NIfTI scan says, after checking header and voxels, one volume in memory at a time.

    Args:
        path: scan, ``.nii`` or ``.nii.gz``, 3-D or 4-D (the last axis counts volumes).
        mask: brain mask on the grid of the scan.

    Raises:
        InputError: the scan or the mask cannot be read, has fewer than three slices of 8 x 8 voxels, a voxel size that
            is not positive, a singular affine or one with voxels beyond :data:`VOXEL_MM`, complex or colour voxels, NaN
            or infinite voxels, or a volume of too few values to be a scan (the mask: no voxel but 0); the mask has
            another grid than the scan.
    """
    path = Path(path)
    name = f"scan '{path}'"
    header, affine = _read(path, name, _check_volume, lambda length, *_: check_packing(path, length, name))
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
        warnings=_geometry_warnings(path, header, affine),
    )


def _read(
    path: Path,
    name: str,
    check_volume: Callable[[np.ndarray, str], None],
    check_first: Callable[[int, nib.Nifti1Header, np.ndarray], None],
) -> tuple[nib.Nifti1Header, np.ndarray]:
    """Check the header and each volume of a file; return the header, repaired and in mm, and the affine.

    Args:
        path: the file.
        name: words for it in errors.
        check_volume: takes a volume and words for it.
        check_first: takes the bytes of the file, its header and affine, before any voxel is read.
    """
    with open_nifti(path, name) as file:
        header = read_header(file, name)
        _check_header(header, name)
        length = check_size(path, header, name)
        affine = _check_affine(header, name)
        check_first(length, header, affine)
        for index, volume in enumerate(_volumes(file, header)):
            check_volume(volume, f"{name}, volume {index}," if len(header.get_data_shape()) > 3 else name)
    return header, affine


def _check_header(header: nib.Nifti1Header, name: str) -> None:
    """Check what is stored, then repair the rest in place."""
    shape = header.get_data_shape()
    if len(shape) not in (3, 4):
        raise InputError(
            f"{name} must have 3 dimensions, or 4 with volumes last, it has {len(shape)}: its shape is {shape}. "
            "Extract one volume."
        )
    fewest, second = sorted(shape[:3])[:2]
    if fewest < MIN_SLICES or second < MIN_VOXELS:
        raise InputError(
            f"{name} must have at least {MIN_SLICES} slices of {MIN_VOXELS} x {MIN_VOXELS} voxels, its shape is "
            f"{shape}. Give the whole scan."
        )
    sizes = header["pixdim"][1:4]
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise InputError(
            f"{name} must have voxel sizes above 0 mm, its header says {_listed(sizes)}. Correct pixdim, or "
            "convert the scan again."
        )
    repair(header, name)


def _check_affine(header: nib.Nifti1Header, name: str) -> np.ndarray:
    """Return the affine in mm, after checking that its voxels have a size that those of a scan may have."""
    unit = UNITS.get(int(header["xyzt_units"]) % 8, "none")
    to_mm(header)
    affine = read_affine(header, name)
    sizes = nib.affines.voxel_sizes(affine)
    if sizes.min() < VOXEL_MM[0] or sizes.max() > VOXEL_MM[1]:
        raise InputError(
            f"{name} must have voxels of {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm, by its affine and unit ({unit}) they "
            f"have {_listed(sizes)}. Correct the affine, or the unit in xyzt_units."
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
    if _most_common(volume.ravel("F")[:: 1 + volume.size // SAMPLE]) and (found := _most_common(volume)):
        value, share, values = found
        raise InputError(
            f"{name} must be an image of a head, not a mask or a map of lesions: it has {values} different values, and "
            f"{share:.1%} of its voxels are {value:g}. Give the scan."
        )


def _most_common(voxels: np.ndarray) -> tuple[float, float, int] | None:
    """Return the most common value, its share of the voxels, and how many values there are, if those of a map."""
    values, counts = np.unique(voxels, return_counts=True)
    share = float(counts.max() / voxels.size)
    return (values[counts.argmax()], share, len(values)) if len(values) < MIN_VALUES or share > MAX_SHARE else None


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
    shape, name = header.get_data_shape()[:3], f"mask '{mask}'"

    def check_grid(length: int, mask_header: nib.Nifti1Header, mask_affine: np.ndarray) -> None:
        axes_onto(name, mask_affine, mask_header.get_data_shape(), f"its scan '{path}'", affine, shape)

    _read(mask, name, _check_mask_volume, check_grid)


def _geometry_warnings(path: Path, header: nib.Nifti1Header, affine: np.ndarray) -> tuple[str, ...]:
    """Say where readers that look at the qform or at pixdim see a scan elsewhere than by its sform."""
    if header["sform_code"] <= 0:
        return ()
    shape, other = header.get_data_shape()[:3], "qform"
    qform = header.get_qform()
    if header["qform_code"] <= 0:
        other, qform = "pixdim", affine @ np.diag([*header.get_zooms()[:3] / nib.affines.voxel_sizes(affine), 1])
    shift = corners_apart(affine, qform, shape) if np.isfinite(qform).all() else np.inf
    if not shift:
        return ()
    return (
        f"'{path.name}' lies {shift:.3g} mm elsewhere by its {other} than by its sform; the sform was used, as NiBabel "
        f"does: 3D Slicer and other readers built on ITK may use the {other}, and show results beside the scan",
    )


def _listed(values: np.ndarray) -> str:
    return str(np.round(values.astype(float), 4).tolist())
