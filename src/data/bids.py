"""BIDS folders: which of their files are susceptibility scans, and what names, tables and sidecars say of them."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .dicom import Converted, choose_scan
from .sidecars import DATATYPES, bids_name, known_echo_ms

BIDS_SUFFIXES = {"swi": "dark", "T2starw": "dark", "MEGRE": "dark", "GRE": "dark", "Chimap": "bright"}
"""Suffixes of susceptibility scans, and how microbleeds look on them. BIDS has no ``swi`` and ``GRE``, BEP 4 has."""


@dataclass(frozen=True)
class BidsScan:
    """A susceptibility scan of a BIDS folder.

    Attributes:
        name: that of the file without ``echo`` and ``part``, such as ``sub-01_ses-1_swi``.
        image: magnitude, SWI or susceptibility map; of several echoes one.
        contrast: how microbleeds look on it, ``"dark"`` or ``"bright"``.
        entities: of its name, without ``echo`` and ``part``; those that its phase, labels and masks share.
        phase: the phase image of the same echo.
        person: ``age`` and ``sex`` of ``participants.tsv``, where they are known.
        notes: how it was chosen among echoes, one sentence each.
    """

    name: str
    image: Path
    contrast: str
    entities: dict[str, str]
    phase: Path | None = None
    person: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    path: Path
    suffix: str
    part: str | None
    echo: int


def is_bids(folder: Path) -> bool:
    """Return whether a folder has ``dataset_description.json``, or subjects with ``anat`` or with sessions."""
    described = (folder / "dataset_description.json").exists()
    return described or any(next(folder.glob(f"sub-*/{name}"), None) for name in ("anat", "ses-*"))


def bids_scans(root: Path) -> list[BidsScan]:
    """Return the susceptibility scans of a BIDS folder, one for each suffix and set of entities, by name.

    Suffixes are those of :data:`BIDS_SUFFIXES`. Of several echoes the one that :func:`csvd.data.choose_scan` takes: the
    longest up to 50 ms by the sidecars, or the last where one of them tells no time. Of parts the magnitude, with the
    phase beside it. A magnitude (``part-mag``) with all entities of a ``swi`` is what that was made from, and no scan
    of its own. Only ``sub-*/[ses-*/]<datatype>/`` is read, so neither ``derivatives`` nor ``sourcedata``; no file is
    opened but sidecars of echoes and ``participants.tsv``.
    """
    people = _participants(root / "participants.tsv")
    groups: dict[tuple, list[_File]] = defaultdict(list)
    for path in _images(root):
        entities, suffix = bids_name(path)
        if suffix not in BIDS_SUFFIXES:
            continue
        part, echo = entities.pop("part", None), entities.pop("echo", "0")
        kind = path.name.partition(".")[2].lower()  # the same name as .nii and .nii.gz: two scans, not two echoes
        groups[(*entities.items(), kind)].append(_File(path, suffix, part, int(echo) if echo.isdecimal() else 0))
    scans = [scan for (*pairs, _), files in groups.items() for scan in _scans_of(dict(pairs), files, people)]
    return sorted(scans, key=lambda scan: scan.name)


def _images(root: Path) -> Iterator[Path]:
    for pattern in ("sub-*/*/sub-*", "sub-*/ses-*/*/sub-*"):
        for path in sorted(root.glob(pattern)):
            if path.parent.name in DATATYPES and path.name.lower().endswith((".nii", ".nii.gz")):
                yield path


def _scans_of(
    entities: dict[str, str], files: Sequence[_File], people: dict[str, dict[str, Any]]
) -> Iterator[BidsScan]:
    """Yield the scans among files that share their entities."""
    magnitudes = [file for file in files if file.part in (None, "mag")]
    phases = [file for file in files if file.part == "phase"]
    has_swi = any(file.suffix == "swi" for file in magnitudes)
    own = [file for file in magnitudes if file.suffix in ("swi", "Chimap") or not (has_swi and file.part == "mag")]
    for suffix in dict.fromkeys(file.suffix for file in own):
        chosen, notes = _choose([file for file in own if file.suffix == suffix])
        phase = [file for file in phases if (file.suffix, file.echo) == (suffix, chosen.echo)]
        if not phase and suffix == "swi" and phases:
            phase = [_choose(phases)[0]]
        yield BidsScan(
            name="_".join(
                part for part in chosen.path.name.partition(".")[0].split("_") if part[:5] not in ("echo-", "part-")
            ),
            image=chosen.path,
            contrast=BIDS_SUFFIXES[suffix],
            entities=entities,
            phase=phase[0].path if phase else None,
            person=people.get(f"sub-{entities['sub']}", {}),
            notes=notes,
        )


def _choose(files: Sequence[_File]) -> tuple[_File, list[str]]:
    """Return the echo to take, and why, in a sentence where there are several."""
    if len(files) == 1:
        return files[0], []
    files = sorted(files, key=lambda file: file.echo, reverse=True)  # among equals choose_scan takes the first
    times = [known_echo_ms(file.path) for file in files]
    times = times if all(times) else [0.0] * len(files)
    folder = files[0].path.parent
    choice, _ = choose_scan(
        [Converted(file.path, folder, echo_ms=time) for file, time in zip(files, times, strict=True)]
    )
    chosen = next(file for file in files if file.path == choice.image)
    time = f"TE {choice.echo_ms:.3g} ms" if choice.echo_ms else "the last; not all echo times are known"
    return chosen, [f"echo-{chosen.echo}, chosen from {len(files)} ({time})"]


def _participants(path: Path) -> dict[str, dict[str, Any]]:
    """Return age and sex of each participant, where they are known."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return {
            row.get("participant_id") or "": dict(_known(row.items())) for row in csv.DictReader(file, delimiter="\t")
        }


def _known(columns: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, value in columns:
        text = str(value).strip()
        if name == "age" and re.fullmatch(r"\d+(\.\d+)?", text):
            yield name, float(text)
        elif name == "sex" and text.lower() in ("m", "male", "f", "female"):
            yield name, text[0].upper()
