"""DICOM files sorted into series, whatever exports and anonymising programs did to their identifiers."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import check_extra
from ..files import sha256
from .files import numbers_of, read_dicom, read_tags, values_of
from .image_kinds import GE_TYPE, GE_TYPES, derivation, image_kind

TEXTS = ("SeriesDescription", "ImageComments", "DerivationDescription")
MOMENT = (
    "AcquisitionNumber",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "InversionTime",
    "DiffusionBValue",
    "NumberOfFrames",
)
"""Tags in which the images of one place differ unless one is a copy of the other."""
TAGS = (
    *("Modality", "SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "InstanceNumber", "ImageType", "ProtocolName"),
    *("ScanningSequence", "SequenceName", "EchoTime", "RepetitionTime", "MagneticFieldStrength", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *TEXTS,
    *MOMENT,
    GE_TYPE,
)


@dataclass(frozen=True)
class Instance:
    """One DICOM file.

    Attributes:
        path: the file.
        tags: values of :data:`TAGS` or a data set; empty where the file cannot be read.
    """

    path: Path
    tags: Any

    def text(self, tag: str) -> str:
        """Return the value of a tag, empty where there is none."""
        return " ".join(values_of(self.tags, tag))

    @cached_property
    def types(self) -> list[str]:
        """Values of ImageType, and what GE tells elsewhere."""
        ge = [GE_TYPES.get(int(value), "") for value in values_of(self.tags, GE_TYPE)[:1] if value.isdigit()]
        return [*values_of(self.tags, "ImageType"), *ge]

    @cached_property
    def kind(self) -> str:
        """See :func:`csvd.io.dicom.image_kinds.image_kind`."""
        return image_kind(self.types, *map(self.text, TEXTS))

    @cached_property
    def derivation(self) -> str:
        """See :func:`csvd.io.dicom.image_kinds.derivation`."""
        return derivation(self.types, *map(self.text, TEXTS)) if self.kind == "derived" else ""

    @cached_property
    def echo_ms(self) -> float | None:
        """Echo time."""
        values = numbers_of(self.tags, "EchoTime", 1)
        return values[0] if values else None

    @cached_property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = (numbers_of(self.tags, name, 1) or [0.0] for name in ("Rows", "Columns"))
        return int(rows[0]), int(columns[0])

    @cached_property
    def to_mm(self) -> np.ndarray | None:
        """(4, 4), (row, column, 0, 1) to patient coordinates (LPS mm); None where it is not one plane in space."""
        position = numbers_of(self.tags, "ImagePositionPatient", 3)
        orientation = numbers_of(self.tags, "ImageOrientationPatient", 6)
        spacing = numbers_of(self.tags, "PixelSpacing", 2)
        frames = numbers_of(self.tags, "NumberOfFrames", 1) or [1.0]
        if position is None or orientation is None or spacing is None or frames[0] > 1 or "MOSAIC" in self.types:
            return None
        return plane_affine(position, orientation, spacing)


def plane_affine(position: Any, orientation: Any, spacing: Any) -> np.ndarray:
    """Return (4, 4), (row, column, 0, 1) to LPS mm, of ImagePosition, ImageOrientation and PixelSpacing."""
    along_row, along_column = np.reshape(np.array(orientation, dtype=float), (2, 3))
    to_mm = np.zeros((4, 4))
    to_mm[:3, 0], to_mm[:3, 1] = along_column * float(spacing[0]), along_row * float(spacing[1])
    to_mm[:3, 3], to_mm[3, 3] = position, 1
    return to_mm


@dataclass(frozen=True)
class Series:
    """The images of one series and kind.

    Attributes:
        name: number and description, for example ``"4 'me_fMRI'"``.
        instances: its files, each image once.
        uid_per_file: whether its files have no SeriesInstanceUID in common.
        copies: files that were left out because they are copies of others.
        part: whether its SeriesInstanceUID has images of other kinds too.
    """

    name: str
    instances: tuple[Instance, ...]
    uid_per_file: bool = False
    copies: int = 0
    part: bool = False

    @property
    def first(self) -> Instance:
        """One of its files."""
        return self.instances[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """Paths of its files."""
        return tuple(instance.path for instance in self.instances)

    @property
    def folder(self) -> Path:
        """The folder that holds all its files, perhaps in subfolders."""
        return common_folder(self.files)

    @property
    def number(self) -> int | None:
        """SeriesNumber."""
        numbers = numbers_of(self.first.tags, "SeriesNumber", 1)
        return None if numbers is None else int(numbers[0])


def common_folder(files: Iterable[Path]) -> Path:
    """Return the folder that holds files, perhaps in subfolders."""
    return Path(commonpath([path.parent for path in files]))


def sort_series(files: Iterable[Path]) -> tuple[list[Series], list[str]]:
    """Return the series of DICOM files by number, and a note on what cannot be read.

    Files that each have a SeriesInstanceUID of their own, but number, description, folder and orientation in common,
    are one series. Magnitude, phase and derived images of one SeriesInstanceUID are several, and so are those of
    several numbers. Copies are left out.

    Raises:
        InputError: there are files, and csvd was installed without its extra for DICOM.
    """
    files = [*files]
    if files:
        check_extra("dicom")
    instances = [Instance(path, read_tags(path, TAGS)) for path in files]
    broken = [one.path for one in instances if not one.text("Modality") and one.path.name != "DICOMDIR"]
    notes = [f"{len(broken)} DICOM files cannot be read, the first is '{broken[0]}'"] if broken else []
    groups: dict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        if one.text("Modality"):
            groups[one.text("SeriesInstanceUID") or f"none {_signature(one)}"].append(one)
    series = [part for members, alone in _joined(groups) for part in _by_kind(members, alone)]
    series.sort(key=lambda one: (one.number is None, one.number or 0, one.name))
    seen: dict[str, int] = defaultdict(int)
    for where, found in enumerate(series):
        seen[found.name] += 1
        if seen[found.name] > 1:
            series[where] = replace(found, name=f"{found.name} ({seen[found.name]})")
    return series, notes


def _signature(one: Instance) -> tuple[Any, ...]:
    """Return what the files of one series have in common beside their identifiers."""
    orientation = numbers_of(one.tags, "ImageOrientationPatient", 6) or []
    spacing = numbers_of(one.tags, "PixelSpacing", 2) or []
    known = (one.text("SeriesNumber"), one.text("SeriesDescription"), one.text("Modality"))
    return one.path.parent, known, one.size, *(round(value, 3) for value in (*orientation, *spacing))


def _joined(groups: dict[str, list[Instance]]) -> Iterable[tuple[list[Instance], bool]]:
    """Yield the members of each series, and whether each has an identifier of its own."""
    alone: dict[tuple[Any, ...], list[Instance]] = defaultdict(list)
    for members in groups.values():
        if len(members) == 1 and members[0].to_mm is not None:
            alone[_signature(members[0])].append(members[0])
        else:
            yield members, False
    for members in alone.values():
        yield members, len(members) > 1


def _by_kind(members: list[Instance], uid_per_file: bool) -> Iterable[Series]:
    """Yield the images of one SeriesInstanceUID, those of each number and kind together."""
    kinds: dict[tuple[str, str, str], list[Instance]] = defaultdict(list)
    for one in members:
        kinds[one.text("SeriesNumber") or one.text("SeriesDescription"), one.kind, one.derivation].append(one)
    for (own, kind, how), found in kinds.items():
        number = " ".join(values_of(found[0].tags, "SeriesNumber"))
        name = f"{number} '{found[0].text('SeriesDescription')}'".strip()
        name += f" ({how or kind})" if sum(own == other for other, *_ in kinds) > 1 else ""
        kept = _without_copies(found)
        yield Series(name, tuple(kept), uid_per_file, len(found) - len(kept), len(kinds) > 1)


def _without_copies(members: Sequence[Instance]) -> list[Instance]:
    """Return the images of a series, each once: the same place, moment and pixels make a copy, whatever its names."""
    candidates: dict[Any, list[Instance]] = defaultdict(list)
    for one in members:
        where = None if one.to_mm is None else tuple(one.to_mm.round(3).ravel())
        candidates[(where, one.size, one.echo_ms, *map(one.text, MOMENT))].append(one)
    copies: set[Path] = set()
    for alike in candidates.values():
        if len(alike) > 1:
            files: set[str] = set()
            images: set[str] = set()
            for one in alike:
                file = sha256(one.path)
                if file not in files and (pixels := _pixels(one.path)) not in images:
                    images.add(pixels)
                else:
                    copies.add(one.path)
                files.add(file)
    return [one for one in members if one.path not in copies]


def _pixels(path: Path) -> str:
    """Return a hash of the stored pixels of a file; of the whole file where they cannot be read."""
    try:
        stored = read_dicom(path, pixels=True).get("PixelData")
    except Exception:  # whatever pydicom says of it: dcm2niix will have its own word
        stored = None
    return sha256(path) if stored is None else hashlib.sha256(stored).hexdigest()
