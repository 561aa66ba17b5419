"""Which MR sequence a series is, as its DICOM tags or a data list say."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Transform

from ..checks import InputError
from .bids.sidecars import bids_name, bids_root, echo_ms
from .bids.tags import checked_tags
from .dicom.image_kinds import is_swi

LONG_ECHO_MS = 9.0  # at 3 T; from here a gradient echo shows T2* more than T1
SUFFIXES = {"swi": "SWI", "T2starw": "T2*-GRE", "MEGRE": "T2*-GRE", "GRE": "T2*-GRE", "Chimap": "QSM"} | {
    "T1w": "T1",
    "T2w": "T2",
    "FLAIR": "FLAIR",
    "dwi": "DWI",
    "asl": "other",
    "angio": "other",
}  # "bold" and "epi" may be T2*-weighted or not
MAPS = {"DIFFUSION", "ADC", "FA", "TRACEW", "TENSOR", "EADC"}


def sequence_of_tags(tags: Mapping[str, Any]) -> str | None:
    """Return one of :data:`csvd.sequences.SEQUENCES`, or None where the tags do not decide.

    Maps that were computed from diffusion images count as ``"DWI"``, perfusion as ``"other"``; contrast agent cannot be
    told, so that both kinds of T1-weighted images are ``"T1"``.

    Args:
        tags: DICOM tags as dcm2niix writes them to JSON: names of BIDS, times in seconds. What is no such value does
            not count, see :func:`csvd.io.bids.tags.checked_tags`.
    """
    tags, _ = checked_tags(tags)
    types = {str(word).upper() for word in tags.get("ImageType", [])}
    text = f"{tags.get('SeriesDescription', '')} {tags.get('ProtocolName', '')}".upper()
    sequence = f"{tags.get('ScanningSequence', '')} {tags.get('SequenceName', '')}".upper()
    te, ti = echo_ms(tags), 1000 * tags.get("InversionTime", 0.0)
    spin = "SE" in sequence
    if types & {"P", "PHASE", "REAL", "IMAGINARY"}:
        return "phase"
    if types & {"ASL", "PERFUSION", "RCBF"} or tags.get("Modality", "MR") != "MR":
        return "other"
    if "QSM" in types or "QSM" in text:
        return "QSM"
    if types & MAPS or "DWI" in sequence or (spin and "EP" in sequence):
        return "DWI"
    if is_swi(types, text):
        return "SWI"
    if "IR" in sequence and te:
        return ("FLAIR" if ti > 1500 else "T1") if te > 50 or ti < 1500 else None
    if spin and te:
        return _spin_echo(te, 1000 * tags.get("RepetitionTime", 0.0))
    late = te * tags.get("MagneticFieldStrength", 3) / 3 >= LONG_ECHO_MS
    return "T2*-GRE" if late and ("GR" in sequence or "EP" in sequence) else None


def sequence_of_name(image: Path) -> str | None:
    """Return what the name of an image in a BIDS folder says; None of others, and where the suffix does not decide."""
    if bids_root(image) is None:
        return None
    entities, suffix = bids_name(image)
    return "phase" if entities.get("part") in ("phase", "real", "imag") else SUFFIXES.get(suffix)


def names_swi(image: str | os.PathLike[str]) -> bool:
    """Return whether the last word of the name of a file is SWI, as in ``sub-01_swi.nii.gz``."""
    stem = Path(image).name.upper().removesuffix(".GZ").removesuffix(".NII")
    return stem.rpartition("_")[2] == "SWI"


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
