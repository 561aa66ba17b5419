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
import pydicom
from pydicom.dataset import Dataset

from ...checks import InputError
from ...data.dicom import ECHO_TOLERANCE_MS, PARTS, image_kind

TOLERANCE_VOXELS = 0.1
LOWEST_CORRELATION = 0.99
GE_TYPE, GE_TYPES = (0x0043, 0x102F), {1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
"""Private tag in which GE tells what ImageType does not."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS+ mm to the patient coordinates of DICOM, and back."""


@dataclass(frozen=True)
class Plane:
    """One slice of a scan as DICOM stores it.

    Attributes:
        header: the instance, without its pixels.
        frame: number of the frame in it, from 1; None where the instance is one image.
        to_mm: (4, 4), (row, column, 0, 1) to patient coordinates (LPS mm).
        size: rows and columns.
        tile: of a mosaic, the number of the slice in it, from 0; else None.
        echo_ms: echo time, None where it is not known.
        kind: see :func:`csvd.data.dicom.image_kind`.
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
        stored = pydicom.dcmread(self.header.filename).pixel_array
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
        volumes: for each volume of the scan its planes, one for each slice.
    """

    scan: Path
    volumes: tuple[tuple[Plane, ...], ...]

    @cached_property
    def grid(self) -> tuple[np.ndarray, tuple[int, ...]]:
        """Affine (4, 4), voxel to RAS+ mm, and shape (3) of the scan."""
        image = nib.load(self.scan)
        return image.affine, image.shape[:3]  # type: ignore[attr-defined]


def find_source(scan: Path, files: Sequence[Path]) -> Source:
    """Return the DICOM images that a scan was converted from.

    Series, echo and kind are those of the sidecar that dcm2niix wrote beside the scan; each slice must have one image
    a volume whose pixels lie on the voxels to within a tenth of their size, and look the same.

    Args:
        scan: NIfTI file that :func:`csvd.data.convert_dicom` made.
        files: DICOM files, at least all of the scan's series.

    Raises:
        InputError: slices are missing or ambiguous, show something else, or lack a frame of reference.
    """
    sidecar = json.loads(scan.with_suffix(".json").read_text(encoding="utf-8", errors="replace"))
    image: Any = nib.load(scan)
    volumes = image.shape[3] if len(image.shape) > 3 else 1
    places: dict[tuple[int, ...], list[Plane]] = defaultdict(list)
    for plane in _planes(files, sidecar, image):
        voxels = plane.voxels(image.affine, image.shape)
        if voxels is not None:
            places[tuple(int(axis[0, 0] + axis[-1, -1]) for axis in voxels)].append(plane)
    counts = {len(planes) for planes in places.values()}
    pixels = sum(int(np.prod(planes[0].size)) for planes in places.values())
    name = f"scan '{scan.name}' cannot be written as DICOM:"
    if counts != {volumes} or pixels != np.prod(image.shape[:3]):
        raise InputError(
            f"{name} each of its {image.shape[2]} slices must have {volumes} DICOM images on its grid, {len(places)} "
            f"have {sorted(counts)}. Are slices missing, or unevenly spaced? Leave out --dicom, or export them again."
        )
    ordered = [sorted(planes, key=lambda plane: plane.order) for planes in places.values()]
    source = Source(scan, tuple(zip(*ordered, strict=True)))
    if "FrameOfReferenceUID" not in source.volumes[0][0].header:
        raise InputError(f"{name} its DICOM files must have a FrameOfReferenceUID, they have none. Leave out --dicom.")
    _check_pixels(source, image, name)
    return source


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
    volume = (len(source.volumes) - 1,) if len(image.shape) > 3 else ()
    converted = np.asarray(image.dataobj[(..., *volume)], dtype=float)[voxels].ravel()
    alike = (np.allclose(one, converted) or np.corrcoef(one, converted)[0, 1] >= LOWEST_CORRELATION for one in seen)
    if not any(alike):
        raise InputError(
            f"{name} its slice should look like the DICOM image '{plane.header.filename}', it does not. "
            "Leave out --dicom, and report this."
        )


def _planes(files: Sequence[Path], sidecar: dict[str, Any], image: Any) -> Iterator[Plane]:
    """Yield the planes of the sidecar's series, echo and kind."""
    echo_ms = 1000 * float(sidecar.get("EchoTime", 0))
    part = image_kind(sidecar.get("ImageType", [])) in PARTS
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.get("SeriesInstanceUID") != sidecar.get("SeriesInstanceUID", header.get("SeriesInstanceUID")):
            continue
        for plane in _frames(header, image) if "PerFrameFunctionalGroupsSequence" in header else _image(header, image):
            same_echo = not plane.echo_ms or not echo_ms or abs(plane.echo_ms - echo_ms) < ECHO_TOLERANCE_MS
            if (plane.kind in PARTS) == part and same_echo:
                yield plane


def _image(header: Dataset, image: Any) -> Iterator[Plane]:
    """Yield the plane of a classic image, or those of a mosaic, which lie as the scan says."""
    order = (
        float(header.get("TemporalPositionIdentifier") or 0),
        float(header.get("AcquisitionNumber") or 0),
        float(header.get("InstanceNumber") or 0),
    )
    types = [*header.get("ImageType", []), GE_TYPES.get(header[GE_TYPE].value, "") if GE_TYPE in header else ""]
    echo = header.get("EchoTime")
    known: dict[str, Any] = {
        "header": header,
        "frame": None,
        "echo_ms": None if echo is None else float(echo),
        "kind": image_kind(types),
        "order": order,
    }
    if "MOSAIC" not in types:
        to_mm = _affine(header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing)
        yield Plane(**known, to_mm=to_mm, size=(header.Rows, header.Columns), tile=None)
        return
    across = ceil(sqrt(image.shape[2]))
    size = (header.Rows // across, header.Columns // across)
    for number, to_mm in enumerate(_mosaic_affines(header, image)):
        yield Plane(**known, to_mm=to_mm, size=size, tile=number)


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
        yield _affine((axes @ first)[:3], orientation, header.PixelSpacing)


def _frames(header: Dataset, image: Any) -> Iterator[Plane]:
    """Yield the planes of an enhanced multi-frame object."""
    shared = header.SharedFunctionalGroupsSequence[0]
    for number, own in enumerate(header.PerFrameFunctionalGroupsSequence, start=1):

        def group(name: str, own: Dataset = own) -> Dataset:
            return (own.get(name) or shared.get(name) or [Dataset()])[0]

        position, content = group("PlanePositionSequence"), group("FrameContentSequence")
        to_mm = _affine(
            position.ImagePositionPatient,
            group("PlaneOrientationSequence").ImageOrientationPatient,
            group("PixelMeasuresSequence").PixelSpacing,
        )
        echo = group("MREchoSequence").get("EffectiveEchoTime")
        types = group("MRImageFrameTypeSequence").get("FrameType") or header.get("ImageType", [])
        order = (
            float(content.get("TemporalPositionIndex") or 0),
            float(header.get("AcquisitionNumber") or 0),
            float(header.get("InstanceNumber") or 0),
            float(number),
        )
        size = (header.Rows, header.Columns)
        yield Plane(header, number, to_mm, size, None, None if echo is None else float(echo), image_kind(types), order)


def _affine(position: Any, orientation: Any, spacing: Any) -> np.ndarray:
    """Return (4, 4), (row, column, 0, 1) to LPS mm, of ImagePosition, ImageOrientation and PixelSpacing."""
    along_row, along_column = np.reshape(np.array(orientation, dtype=float), (2, 3))
    to_mm = np.zeros((4, 4))
    to_mm[:3, 0], to_mm[:3, 1] = along_column * float(spacing[0]), along_row * float(spacing[1])
    to_mm[:3, 3], to_mm[3, 3] = position, 1
    return to_mm
