"""Which MR sequence a series is, as its DICOM tags or a data list say."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Transform

from ..checks import InputError

LONG_ECHO_MS = 9.0  # at 3 T; from here a gradient echo shows T2* more than T1
MAPS = {"DIFFUSION", "ADC", "FA", "TRACEW", "TENSOR", "EADC"}


def sequence_of_tags(tags: Mapping[str, Any]) -> str | None:
    """Return one of :data:`csvd.sequences.SEQUENCES`, or None where the tags do not decide.

    Maps that were computed from diffusion images count as ``"DWI"``, perfusion as ``"other"``; contrast agent cannot be
    told, so that both kinds of T1-weighted images are ``"T1"``.

    Args:
        tags: DICOM tags as dcm2niix writes them to JSON: names of BIDS, times in seconds.
    """
    types = {str(word).upper() for word in tags.get("ImageType", [])}
    text = f"{tags.get('SeriesDescription', '')} {tags.get('ProtocolName', '')}".upper()
    sequence = f"{tags.get('ScanningSequence', '')} {tags.get('SequenceName', '')}".upper()
    te, ti = (1000 * float(tags.get(name, 0)) for name in ("EchoTime", "InversionTime"))
    spin = "SE" in sequence
    if types & {"P", "PHASE", "REAL", "IMAGINARY"}:
        return "phase"
    if types & {"ASL", "PERFUSION", "RCBF"} or tags.get("Modality", "MR") != "MR":
        return "other"
    if "QSM" in types or "QSM" in text:
        return "QSM"
    if types & MAPS or "DWI" in sequence or (spin and "EP" in sequence):
        return "DWI"
    if "SWI" in types or "SWI" in text:
        return "SWI"
    if "IR" in sequence and te:
        return ("FLAIR" if ti > 1500 else "T1") if te > 50 or ti < 1500 else None
    if spin and te:
        return _spin_echo(te, 1000 * float(tags.get("RepetitionTime", 0)))
    late = te * float(tags.get("MagneticFieldStrength", 3)) / 3 >= LONG_ECHO_MS
    return "T2*-GRE" if late and ("GR" in sequence or "EP" in sequence) else None


def sequence_of_sidecar(image: Path) -> str | None:
    """Return :func:`sequence_of_tags` of the JSON file (BIDS) beside an image, None where there is none.

    Raises:
        InputError: the file holds no JSON object.
    """
    path = image.parent / f"{image.name.removesuffix('.gz').removesuffix('.nii')}.json"
    if not path.exists():
        return None
    try:
        tags = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except json.JSONDecodeError as error:
        raise InputError(f"sidecar '{path}' must be JSON, it is not: {error}. Repair it, or take it away.") from error
    if not isinstance(tags, dict):
        raise InputError(f"sidecar '{path}' must hold tags by name, it holds {tags!r:.50}. Repair it, or take it away.")
    return sequence_of_tags(tags)


def _spin_echo(te_ms: float, tr_ms: float) -> str | None:
    if te_ms >= 60:
        return "T2"
    return "T1" if te_ms <= 30 and 0 < tr_ms <= 1000 else None


class ReadSequenced(Transform):
    """Make a number of the sequence that an item of a data list names: adds ``label``, the index among the classes.

    Args:
        sequences: names of the classes.

    Raises:
        InputError: the item names none of them under ``sequence``.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self.sequences = tuple(sequences)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with the number."""
        name = data.get("sequence")
        if name not in self.sequences:
            raise InputError(
                f"image '{data['image']}': `sequence` must be one of {', '.join(self.sequences)}, it is {name!r}. "
                "Correct the data list."
            )
        return {**data, "label": torch.tensor(self.sequences.index(name))}
