"""Which DICOM images a converted scan was made of: each slice of the NIfTI file, and where its pixels lie in it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset

from ...checks import InputError, shortened
from .files import numbers_of, read_dicom, values_of
from .image_kinds import PARTS, image_kind
from .series import Instance, common_folder, plane_affine
from .stacks import ECHO_TOLERANCE_MS, LPS

TOLERANCE_VOXELS = 0.1
LOWEST_CORRELATION = 0.99
ONE_OF_ALL = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
"""Identifiers that the images of a scan have in common: a DICOM object refers to one study, series and frame."""


@dataclass(frozen=True)
class SlicePlane:
    """One slice of a scan as DICOM stores it.

    Attributes:
        header: the instance, without its pixels.
        frame: number of the frame in it, from 1; None where the instance is one image.
        to_mm: (4, 4), (row, column, 0, 1) to patient coordinates (LPS mm).
        size: rows and columns.
        tile: of a mosaic, the number of the slice in it, from 0; else None.
        echo_ms: echo time, None where it is not known.
        kind: see :func:`csvd.io.dicom.image_kinds.image_kind`.
        order: sorts the images of one place in time.
    """

    header: Dataset
    frame: int | None
    to_mm: np.ndarray
    size: tuple[int, int]
    tile: int | None
    echo_ms: float | None
    kind: str
    order: tuple[float, ...]

    def voxels(self, affine: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, ...] | None:
        """Return the indices i, j, k, each (rows, columns), of the pixels in a grid; None where they are not on it.

        Args:
            affine: (4, 4), voxel to RAS+ mm.
            shape: of the grid.
        """
        exact = np.linalg.inv(LPS @ affine) @ self.to_mm
        rounded = exact.round()
        rows, columns = self.size
        corners = np.array([(row, column, 0, 1) for row in (0, rows - 1) for column in (0, columns - 1)]).T
        found = (rounded @ corners)[:3]
        if np.abs(((exact - rounded) @ corners)[:3]).max() > TOLERANCE_VOXELS:
            return None
        if (found < 0).any() or (found >= np.reshape(shape[:3], (3, 1))).any():
            return None
        row, column = np.indices(self.size)
        return tuple((axis[0] * row + axis[1] * column + axis[3]).astype(int) for axis in rounded[:3])

    def pixels(self) -> np.ndarray:
        """Return the stored values, (rows, columns).

        Raises:
            RuntimeError: no decoder for a compressed image is installed.
        """
        stored = read_dicom(Path(self.header.filename), pixels=True).pixel_array
        if self.tile is not None:
            across = self.header.Columns // self.size[1]
            row, column = (self.tile // across) * self.size[0], (self.tile % across) * self.size[1]
            return stored[row : row + self.size[0], column : column + self.size[1]]
        return stored if self.frame is None or stored.ndim == 2 else stored[self.frame - 1]


@dataclass(frozen=True)
class Source:
    """The DICOM images of a scan.

    Attributes:
        scan: the NIfTI file.
        folder: of its DICOM files, for messages.
        volumes: for each volume of the scan its planes, one for each slice.
    """

    scan: Path
    folder: Path
    volumes: tuple[tuple[SlicePlane, ...], ...]

    @cached_property
    def grid(self) -> tuple[np.ndarray, tuple[int, ...]]:
        """Affine (4, 4), voxel to RAS+ mm, and shape (3) of the scan."""
        image = nib.load(self.scan)
        return image.affine, image.shape[:3]  # type: ignore[attr-defined]


def find_source(scan: Path, files: Sequence[Path]) -> Source:
    """Return the DICOM images that a scan was converted from.

    Echo and kind are those of the sidecar that dcm2niix wrote beside the scan; each slice must have one image a volume
    whose pixels lie on the voxels to within a tenth of their size, and look the same.

    Args:
        scan: NIfTI file that :func:`csvd.io.convert_dicom` made.
        files: DICOM files of the scan's series.

    Raises:
        InputError: slices are missing or ambiguous, show something else, or their identifiers do not hold together.
    """
    sidecar = json.loads(scan.with_suffix(".json").read_text(encoding="utf-8", errors="replace"))
    image: Any = nib.load(scan)
    volumes = image.shape[3] if len(image.shape) > 3 else 1
    positions: dict[tuple[int, ...], list[SlicePlane]] = defaultdict(list)
    for plane in _planes(files, sidecar, image):
        voxels = plane.voxels(image.affine, image.shape)
        if voxels is not None:
            positions[tuple(int(axis[0, 0] + axis[-1, -1]) for axis in voxels)].append(plane)
    counts = {len(planes) for planes in positions.values()}
    pixels = sum(int(np.prod(planes[0].size)) for planes in positions.values())
    folder = common_folder(files)
    name = f"results of DICOM folder '{folder}' cannot be written as DICOM:"
    if counts != {volumes} or pixels != np.prod(image.shape[:3]):
        raise InputError(
            f"{name} each of its {image.shape[2]} slices must have {volumes} DICOM images on its grid, "
            f"{len(positions)} have {sorted(counts)}. Are slices missing, or unevenly spaced? Leave out --dicom, or "
            "export them again."
        )
    ordered = [sorted(planes, key=lambda plane: plane.order) for planes in positions.values()]
    source = Source(scan, folder, tuple(zip(*ordered, strict=True)))
    _check_identifiers(source, name)
    _check_pixels(source, image, name)
    return source


def _check_identifiers(source: Source, name: str) -> None:
    """Raise an InputError unless the images are of one series, and each has a name of its own."""
    headers = list({id(plane.header): plane.header for planes in source.volumes for plane in planes}.values())
    for tag, wanted in (*((tag, 1) for tag in ONE_OF_ALL), ("SOPInstanceUID", len(headers))):
        found = len({*(value for header in headers for value in values_of(header, tag))})
        if found != wanted or not all(values_of(header, tag) for header in headers):
            raise InputError(
                f"{name} its {len(headers)} DICOM files must have {wanted} {tag}, they have {found or 'none'}. "
                "Leave out --dicom."
            )


def _check_pixels(source: Source, image: Any, name: str) -> None:
    """Raise an InputError if the middle slice of the last volume is not that of the scan."""
    planes = source.volumes[-1]
    plane = planes[len(planes) // 2]
    voxels = plane.voxels(image.affine, image.shape)
    last = len(planes) - 1
    tiles = {None} if plane.tile is None else {plane.tile, last - plane.tile}  # dcm2niix turns some mosaics around
    try:
        seen = [replace(plane, tile=tile).pixels().astype(float).ravel() for tile in tiles]
    except RuntimeError:
        return  # a compressed image that only dcm2niix can read
    except Exception as error:  # pydicom has one for each way in which tags of pixels can be wrong
        what = f"the pixels of '{plane.header.filename}' cannot be read ({shortened(error)})"
        raise InputError(f"{name} {what}. Leave out --dicom, or export it again.") from error
    volume = (len(source.volumes) - 1,) if len(image.shape) > 3 else ()
    converted = np.asarray(image.dataobj[(..., *volume)], dtype=float)[voxels].ravel()
    seen = [one for one in seen if one.size == converted.size]
    alike = (np.allclose(one, converted) or np.corrcoef(one, converted)[0, 1] >= LOWEST_CORRELATION for one in seen)
    if not any(alike):
        raise InputError(
            f"{name} its slice should look like the DICOM image '{plane.header.filename}', it does not. "
            "Leave out --dicom, and report this."
        )


def _planes(files: Sequence[Path], sidecar: dict[str, Any], image: Any) -> Iterator[SlicePlane]:
    """Yield the planes of the sidecar's echo and kind."""
    echo_ms = 1000 * float(sidecar.get("EchoTime", 0))
    part = image_kind(sidecar.get("ImageType", [])) in PARTS
    for path in files:
        header = read_dicom(path)
        for plane in _frames(header, image) if "PerFrameFunctionalGroupsSequence" in header else _image(header, image):
            same_echo = not plane.echo_ms or not echo_ms or abs(plane.echo_ms - echo_ms) < ECHO_TOLERANCE_MS
            if (plane.kind in PARTS) == part and same_echo:
                yield plane


def _image(header: Dataset, image: Any) -> Iterator[SlicePlane]:
    """Yield the plane of a classic image, or those of a mosaic, which lie as the scan says; none where tags lack."""
    one = Instance(Path(header.filename), header)
    order = (
        _number(header, "TemporalPositionIdentifier"),
        _number(header, "AcquisitionNumber"),
        _number(header, "InstanceNumber"),
    )
    known: dict[str, Any] = {"header": header, "frame": None, "echo_ms": one.echo_ms, "kind": one.kind, "order": order}
    if one.to_mm is not None:
        yield SlicePlane(**known, to_mm=one.to_mm, size=one.size, tile=None)
    if "MOSAIC" not in one.types:
        return
    across = ceil(sqrt(image.shape[2]))
    size = (header.Rows // across, header.Columns // across)
    for number, to_mm in enumerate(_mosaic_affines(header, image)):
        yield SlicePlane(**known, to_mm=to_mm, size=size, tile=number)


def _mosaic_affines(header: Dataset, image: Any) -> Iterator[np.ndarray]:
    """Yield where each tile of a mosaic lies: rows and columns as its header says, corners as the scan says."""
    axes = LPS @ image.affine
    orientation = np.array(header.ImageOrientationPatient, dtype=float)
    columns, rows, slices = image.shape[:3]
    first = np.array([0.0, 0.0, 0.0, 1.0])
    for axis, direction, size in ((0, orientation[:3], columns), (1, orientation[3:], rows)):
        if axes[:3, axis] @ direction < 0:
            first[axis] = size - 1
    for number in range(slices):
        first[2] = number
        yield plane_affine((axes @ first)[:3], orientation, header.PixelSpacing)


def _frames(header: Dataset, image: Any) -> Iterator[SlicePlane]:
    """Yield the planes of an enhanced multi-frame object."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for number, own in enumerate(header.PerFrameFunctionalGroupsSequence, start=1):

        def group(name: str, own: Dataset = own) -> Dataset:
            return (own.get(name) or shared.get(name) or [Dataset()])[0]

        position = numbers_of(group("PlanePositionSequence"), "ImagePositionPatient", 3)
        orientation = numbers_of(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6)
        spacing = numbers_of(group("PixelMeasuresSequence"), "PixelSpacing", 2)
        if position is None or orientation is None or spacing is None:
            continue
        to_mm = plane_affine(position, orientation, spacing)
        echo = numbers_of(group("MREchoSequence"), "EffectiveEchoTime", 1)
        types = values_of(group("MRImageFrameTypeSequence"), "FrameType") or values_of(header, "ImageType")
        order = (
            _number(group("FrameContentSequence"), "TemporalPositionIndex"),
            _number(header, "AcquisitionNumber"),
            _number(header, "InstanceNumber"),
            float(number),
        )
        size = (header.Rows, header.Columns)
        yield SlicePlane(header, number, to_mm, size, None, echo[0] if echo else None, image_kind(types), order)


def _number(header: Dataset, tag: str) -> float:
    return (numbers_of(header, tag, 1) or [0.0])[0]
