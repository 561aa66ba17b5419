"""Which files are DICOM, those without preamble and mark too, and what their tags say."""

import struct
import warnings
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from math import isfinite
from pathlib import Path
from sys import intern
from typing import Any

MARK = b"DICM"
PREAMBLE = bytes(128)
SYNTAXES = {  # explicit VR?, byte order: transfer syntax
    (False, "<"): b"1.2.840.10008.1.2",
    (True, "<"): b"1.2.840.10008.1.2.1",
    (True, ">"): b"1.2.840.10008.1.2.2",
}
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
VRS = LONG_VRS | {*b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()}
GROUPS = range(0x0002, 0x0060, 2)
HIGHEST_FIRST_ELEMENT = 0x0070
"""A data set begins in group 8 with one of its first elements: character set, image type, dates, class or modality."""
LONGEST_VALUE = 4096
ELEMENTS = 3
"""So many in ascending order, with plausible lengths, are no accident."""
LOOK_BYTES = 1024


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM: by the mark of part 10, or by its first elements where it has none."""
    return missing_start(path) is not None


def missing_start(path: Path) -> bytes | None:
    """Return what a DICOM file lacks before its first byte to conform to part 10; None where it is no DICOM.

    Old exports and anonymising programs leave out the preamble, the mark, or the file meta information as well.
    """
    with path.open("rb") as file:
        start = file.read(LOOK_BYTES)
    if start[128:132] == MARK:
        return b""
    if start.startswith(MARK) and _is_dataset(start[4:], True, "<", group=2):
        return PREAMBLE
    if _is_dataset(start, True, "<", group=2):
        return PREAMBLE + MARK
    for (explicit, order), syntax in SYNTAXES.items():
        if _is_dataset(start, explicit, order, group=8):
            value = syntax + bytes(len(syntax) % 2)
            meta = struct.pack("<HH2sH", 2, 0x0010, b"UI", len(value)) + value
            return PREAMBLE + MARK + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    return None


def _is_dataset(start: bytes, explicit: bool, order: str, group: int) -> bool:
    """Return whether bytes begin with DICOM elements, the first in a group."""
    offset, last, found = 0, (group, -1), 0
    while found < ELEMENTS and offset + 12 <= len(start):
        tag = struct.unpack_from(f"{order}HH", start, offset)
        vr = start[offset + 4 : offset + 6]
        if explicit and vr not in VRS:
            return False
        if explicit and vr not in LONG_VRS:
            (length,), header = struct.unpack_from(f"{order}H", start, offset + 6), 8
        else:
            header = 12 if explicit else 8
            (length,) = struct.unpack_from(f"{order}I", start, offset + header - 4)
        first = found == 0 and (tag[0] != group or tag[1] > HIGHEST_FIRST_ELEMENT)
        if first or tag[0] not in GROUPS or tag <= last:
            return False
        if length > LONGEST_VALUE:  # a sequence may be long, or of unknown length
            return found == ELEMENTS - 1 and (vr == b"SQ" or not explicit)
        offset, last, found = offset + header + length, tag, found + 1
    return found == ELEMENTS


def read_dicom(path: Path, tags: Sequence[str | int] | None = None, pixels: bool = False) -> Any:
    """Return the data set of a DICOM file.

    Args:
        path: the file, with or without preamble and mark.
        tags: keywords or numbers of the tags to read; all where none are given.
        pixels: read these too.

    Raises:
        OSError, EOFError, ValueError, pydicom.errors.InvalidDicomError: it cannot be read.
    """
    import pydicom  # where MONAI Label runs there may be none

    wanted: Any = None if tags is None else [*tags]
    missing = missing_start(path)
    read = partial(pydicom.dcmread, stop_before_pixels=not pixels, specific_tags=wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that break the standard: they are checked where they are used
        try:
            header = read(BytesIO(missing + path.read_bytes()) if missing else path)
        except MemoryError:  # a tag that promises more than memory: what is read from memory ends where the file does
            header = read(BytesIO((missing or b"") + path.read_bytes()))
    header.filename = str(path)
    return header


def read_tags(path: Path, tags: Sequence[str | int]) -> dict[str | int, list[str]]:
    """Return the values of some tags of a DICOM file, see :func:`values_of`; none where it cannot be read.

    They are small, for folders of very many files: texts that occur again are the same object.
    """
    from pydicom.errors import InvalidDicomError

    try:
        header = read_dicom(path, tags)
    except (InvalidDicomError, OSError, EOFError, ValueError):
        return {}
    return {tag: [*map(intern, values)] for tag in tags if (values := values_of(header, tag))}


def values_of(header: Any, tag: str | int) -> list[str]:
    """Return the values of a tag as text; none where there is no tag, or none that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = header.get(tag)
            value = getattr(value, "value", value)  # a number gets the element, a keyword its value
            return [] if value is None else [_printable(str(one)) for one in _listed(value)]
        except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError):
            return []


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _listed(value: Any) -> list[Any]:
    return [*value] if isinstance(value, list) or hasattr(value, "insert") else [value]


def numbers_of(header: Any, tag: str, count: int) -> list[float] | None:
    """Return the finite numbers of a tag; None where there are not so many."""
    try:
        numbers = [float(value) for value in values_of(header, tag)]
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(map(isfinite, numbers)) else None
