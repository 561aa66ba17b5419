"""Tags of sidecars as BIDS defines them: checked, and read with care where people and programs write others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

SECONDS = {"EchoTime": 1.0, "RepetitionTime": 20.0, "InversionTime": 10.0}
"""Times, and from how many seconds on they are none of magnetic resonance: such are milliseconds."""

TESLA = {"MagneticFieldStrength": 25.0}
TEXTS = ("ScanningSequence", "SequenceName", "SeriesDescription", "ProtocolName", "Modality")
LISTS = ("ImageType",)
NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(s|t|tesla)?\s*", re.IGNORECASE)


def checked_tags(tags: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return tags of which those that csvd uses are what BIDS says they are, and what was wrong with others.

    A number may be text ("0.02", "3T"). A time that is none as seconds is taken as milliseconds. A list of numbers,
    which BIDS allows, is a number where it holds one, and else left out; so is all that has no meaning. Texts that have
    several values are joined by a backslash, as in DICOM. Tags of other names stay as they are.

    Returns:
        The tags, and a clause for each fault that goes on after the name of the file.
    """
    checked, faults = dict(tags), []
    for name, value in tags.items():
        if name in SECONDS or name in TESLA:
            checked[name], fault = _number(name, value)
        elif name in TEXTS:
            checked[name], fault = _text(value)
        elif name in LISTS:
            checked[name], fault = _words(value)
        else:
            continue
        if fault:
            faults.append(f"says {name} {_short(value)}, which {fault}")
        if checked[name] is None:
            del checked[name]
    return checked, faults


def _number(name: str, value: Any) -> tuple[float | None, str]:
    """Return a time in seconds or a field in tesla, None where it is no single one, and what is wrong with it."""
    if isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
        if len(value) > 1:
            return None, ""
        value = value[0]
    text = NUMBER.fullmatch(value) if isinstance(value, str) else None
    number = _float(text[1] if text else value)
    if not 0 <= number < math.inf:
        return None, "must be a number, and was not used"
    read = f"must be a number, and was read as {number:g}" if text else ""
    if name in TESLA:
        return (number, read) if number < TESLA[name] else (None, "is no field in tesla, and was not used")
    if number < SECONDS[name]:
        return number, read
    if number < 1000 * SECONDS[name]:
        return number / 1000, f"is implausible in seconds, and was read as {number:g} ms"
    return None, "is implausible in seconds and in milliseconds, and was not used"


def _float(value: Any) -> float:
    """Return a number of JSON, or the text of one; NaN of anything else."""
    try:
        return math.nan if value is None or isinstance(value, bool | list | dict) else float(value)
    except (ValueError, OverflowError):
        return math.nan


def _text(value: Any) -> tuple[str | None, str]:
    """Return a text, or several as one, None where it is unknown or none, and what is wrong with it."""
    if isinstance(value, str):
        return (value, "") if value.strip().lower() not in ("", "n/a") else (None, "")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\\".join(value), ""
    return None, "must be text, and was not used"


def _words(value: Any) -> tuple[list[str] | None, str]:
    """Return a list of texts, also of one that has several values as in DICOM, and what is wrong with it."""
    if isinstance(value, str) and value.strip():
        return value.split("\\"), "must be a list of texts, and was read as one"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value, ""
    return None, "must be a list of texts, and was not used"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else f"{text[:47]}..."
