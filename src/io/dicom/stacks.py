"""Whether the slices of a DICOM series are all there, and whether a converted image has them where they were."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...checks import InputError
from .files import numbers_of, read_dicom
from .series import Instance, Series

UNEVEN = 0.1
"""Share of the distance between slices by which one may differ."""
ROUNDING_MM = 0.02
OFF_VOXELS = 0.25
ALIKE = 0.99
"""Lowest correlation of a slice with itself: scanners and converters may scale it."""
ECHO_TOLERANCE_MS = 0.02
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS+ mm to the patient coordinates of DICOM, and back."""


def find_stacks(series: Series) -> Iterator[tuple[Instance, ...]]:
    """Yield the files of each orientation, size and echo of a series; those that are no plane in space together."""
    stacks: dict[Any, list[Instance]] = defaultdict(list)
    for one in series.instances:
        turned = None if one.to_mm is None else tuple(one.to_mm[:3, :2].round(2).ravel())
        stacks[turned, turned and one.size, turned and round(one.echo_ms or 0, 2)].append(one)
    yield from map(tuple, stacks.values())


def check_stack(stack: Sequence[Instance], name: str, uid_per_file: bool = False) -> list[str]:
    """Return a sentence on what is odd about the slices of a stack.

    Args:
        stack: see :func:`find_stacks`.
        name: what messages call it.
        uid_per_file: see :class:`csvd.io.dicom.series.Series`.

    Raises:
        InputError: slices are missing, or it cannot be told which belong together.
    """
    if stack[0].to_mm is None:
        return []
    normal = np.cross(stack[0].to_mm[:3, 1], stack[0].to_mm[:3, 0])
    normal /= np.linalg.norm(normal)
    positions = [round(float(one.to_mm[:3, 3] @ normal) / ROUNDING_MM) for one in stack if one.to_mm is not None]
    counts = Counter(positions)
    if len(counts) < 2:
        return []
    steps = np.diff(sorted(counts)) * ROUNDING_MM
    step = float(np.median(steps))
    wide = np.flatnonzero(np.abs(steps - step) > UNEVEN * step + ROUNDING_MM)
    if len(wide):
        more = f" and at {len(wide) - 1} more places" if len(wide) > 1 else ""
        raise InputError(
            f"{name} must have slices at equal distances, they are {step:.3g} mm apart, but {steps[wide[0]]:.3g} mm "
            f"between slices {wide[0] + 1} and {wide[0] + 2} of {len(counts)}{more}: slices are missing. Export the "
            "whole series again."
        )
    most, fewest = max(counts.values()), min(counts.values())
    if most != fewest:
        raise InputError(
            f"{name} must have as many images at each place, it has {most} at some and {fewest} at others of "
            f"{len(counts)}: images are missing. Export the whole series again."
        )
    if uid_per_file and most > 1:
        raise InputError(
            f"{name} has {most} images at each place, and each file has a SeriesInstanceUID of its own: which belong "
            "together cannot be told. Give the files of one scan in a folder of their own."
        )
    return _odd_spacing(stack[0], step, name)


def _odd_spacing(one: Instance, step: float, name: str) -> list[str]:
    """Return a sentence where slices lie farther apart than their tags say."""
    spacing, thick = (numbers_of(one.tags, tag, 1) for tag in ("SpacingBetweenSlices", "SliceThickness"))
    # Some scanners write the gap alone, without the thickness.
    if not spacing or not thick or spacing[0] < (1 - UNEVEN) * thick[0] or step < 1.5 * spacing[0]:
        return []
    return [
        f"{name} has slices {step:.3g} mm apart, their tag SpacingBetweenSlices says {spacing[0]:.3g} mm: see "
        "whether some are missing"
    ]


def overlaps(stack: Sequence[Instance]) -> bool:
    """Return whether slices are at least twice as thick as they are apart, as those of sliding projections are."""
    thick = numbers_of(stack[0].tags, "SliceThickness", 1) if stack else None
    corners = [one.to_mm[:3, 3] for one in stack if one.to_mm is not None]
    if not thick or len(corners) < 2:
        return False
    distances = np.linalg.norm(np.diff(sorted(map(tuple, corners)), axis=0), axis=1)
    return float(np.median(distances)) <= 0.55 * thick[0]


def check_positions(image: Path, instances: Sequence[Instance], name: str) -> None:
    """Raise an InputError unless the slices of a converted image lie, and look, as their DICOM files say.

    Args:
        image: NIfTI file.
        instances: DICOM files of it; those that are no plane in space are left out.
        name: what messages call it.

    Raises:
        InputError: a slice is off by more than a quarter of a voxel, or shows something else.
    """
    converted: Any = nib.Nifti1Image.from_filename(image)
    planes = [(one, one.to_mm) for one in instances if one.to_mm is not None]
    if not planes:
        return
    if not np.linalg.det(converted.affine[:3, :3]):
        raise InputError(f"{name} cannot be converted: its slices have no direction. Export the series again.")
    to_voxel = np.linalg.inv(LPS @ converted.affine)
    off, last = 0.0, np.reshape(converted.shape[:3], (3, 1)) - 1
    for one, to_mm in planes:
        rows, columns = one.size
        corners = np.array([(row, column, 0, 1) for row, column in product((0, rows - 1), (0, columns - 1))]).T
        found = (to_voxel @ to_mm @ corners)[:3]
        off = max(off, float(np.abs(found - np.clip(found.round(), 0, last)).max()))
    if off > OFF_VOXELS:
        raise InputError(
            f"{name} cannot be converted: its slices would lie up to {off:.2g} voxels from where their DICOM tags say. "
            "Export the series again, or convert it to NIfTI yourself."
        )
    one, to_mm = sorted(planes, key=lambda plane: tuple(plane[1][:3, 3]))[len(planes) // 4]  # no mirror keeps it
    if not _looks_alike(one, (to_voxel @ to_mm).round().astype(int), converted):
        raise InputError(
            f"{name} cannot be converted: its slice '{one.path.name}' would not lie where its DICOM tags say. "
            "Export the series again, or convert it to NIfTI yourself."
        )


def _looks_alike(one: Instance, to_voxel: np.ndarray, converted: Any) -> bool:
    """Return whether a plane has the pixels of a file, in any volume; True where they cannot be told."""
    try:
        stored = read_dicom(one.path, pixels=True).pixel_array.astype(float)
    except Exception:  # pydicom lacks decoders that dcm2niix has
        return True
    if stored.shape != one.size:
        return True
    row, column = np.indices(one.size)
    index = tuple(axis[0] * row + axis[1] * column + axis[3] for axis in to_voxel[:3])
    seen = np.asarray(converted.dataobj)[index].reshape(stored.size, -1).T
    if not stored.std() or not seen.std(axis=1).all():
        return True
    return max(float(np.corrcoef(stored.ravel(), volume)[0, 1]) for volume in seen) >= ALIKE
