"""BIDS folders: which of their files are susceptibility scans, and what names, tables and sidecars say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..dicom.choice import Converted, choose_scan
from ..dicom.image_kinds import derivation
from .labels import Labels
from .participants import read_participants
from .sidecars import DATATYPES, bids_name, echo_ms, read_sidecar

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
        notes: how it was chosen among echoes and what was left out, one sentence each.
        warnings: what a user must know of it and of the files that tell of it, one sentence each.
    """

    name: str
    image: Path
    contrast: str
    entities: dict[str, str]
    phase: Path | None = None
    person: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


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


def bids_scans(root: Path, missing: bool = False, labels: Labels | None = None) -> list[BidsScan]:
    """Return the susceptibility scans of a BIDS folder, one for each suffix and set of entities, by name.

    Suffixes are those of :data:`BIDS_SUFFIXES`. Of several echoes the one that :func:`csvd.io.choose_scan` takes: the
    longest up to 50 ms by the sidecars, or the last where one of them tells no time. Of parts the magnitude, with the
    phase beside it. A magnitude (``part-mag``) with all entities of a ``swi`` is what that was made from, and no scan
    of its own. What its name calls a projection (``acq-minIP``) is left out where the session has another scan. Only
    ``sub-*/[ses-*/]<datatype>/`` is read, so neither ``derivatives`` nor ``sourcedata``; no file is opened but sidecars
    of echoes and ``participants.tsv``.

    Args:
        root: the folder.
        missing: give sessions too of whose scans there is no more than phase, or the real and imaginary part, with the
            path where the magnitude would be.
        labels: participants and sessions; the folders of others are not looked into. All when not given.
    """
    people, warnings = read_participants(root / "participants.tsv")
    groups: dict[tuple, list[_File]] = defaultdict(list)
    for path in _images(root, labels or Labels()):
        entities, suffix = bids_name(path)
        if suffix not in BIDS_SUFFIXES:
            continue
        part, echo = entities.pop("part", None), entities.pop("echo", "0")
        kind = path.name.partition(".")[2].lower()  # the same name as .nii and .nii.gz: two scans, not two echoes
        groups[(*entities.items(), kind)].append(_File(path, suffix, part, int(echo) if echo.isdecimal() else 0))
    sessions: dict[tuple, list[BidsScan]] = defaultdict(list)
    alone: dict[tuple, BidsScan] = {}
    for (*pairs, _), files in groups.items():
        entities = dict(pairs)
        session = entities["sub"], entities.get("ses")
        sessions[session] += _scans_of(entities, files)
        alone.setdefault(session, _without_magnitude(entities, files[0]))
    if missing:
        sessions |= {session: [alone[session]] for session, scans in sessions.items() if not scans}
    scans = [scan for found in sessions.values() for scan in _originals(found)]
    matched = [(scan, *people.get(f"sub-{scan.entities['sub']}", ({}, []))) for scan in scans]
    scans = [
        replace(scan, person=known, warnings=[*scan.warnings, *warnings, *notices]) for scan, known, notices in matched
    ]
    return sorted(scans, key=lambda scan: scan.name)


def _images(root: Path, labels: Labels) -> Iterator[Path]:
    for pattern in labels.patterns():
        for path in sorted(root.glob(pattern)):
            if path.parent.name in DATATYPES and path.name.lower().endswith((".nii", ".nii.gz")):
                yield path


def _scans_of(entities: dict[str, str], files: Sequence[_File]) -> Iterator[BidsScan]:
    """Yield the scans among files that share their entities."""
    magnitudes = [file for file in files if file.part in (None, "mag")]
    phases = [file for file in files if file.part == "phase"]
    has_swi = any(file.suffix == "swi" for file in magnitudes)
    own = [file for file in magnitudes if file.suffix in ("swi", "Chimap") or not (has_swi and file.part == "mag")]
    for suffix in dict.fromkeys(file.suffix for file in own):
        chosen, notes, warnings = _choose([file for file in own if file.suffix == suffix])
        phase = [file for file in phases if (file.suffix, file.echo) == (suffix, chosen.echo)]
        if not phase and suffix == "swi" and phases:
            phase = [_choose(phases)[0]]
        yield BidsScan(
            name=_name(chosen.path),
            image=chosen.path,
            contrast=BIDS_SUFFIXES[suffix],
            entities=entities,
            phase=phase[0].path if phase else None,
            notes=notes,
            warnings=warnings,
        )


def _name(path: Path) -> str:
    parts = path.name.partition(".")[0].split("_")
    return "_".join(part for part in parts if part[:5] not in ("echo-", "part-"))


def _without_magnitude(entities: dict[str, str], file: _File) -> BidsScan:
    """Return the scan that is missing beside a phase image, or a real or imaginary one."""
    image = file.path.with_name(file.path.name.replace(f"_part-{file.part}", "_part-mag"))
    warning = f"of scan '{_name(file.path)}' there is '{file.path.name}', but no magnitude"
    return BidsScan(_name(file.path), image, BIDS_SUFFIXES[file.suffix], entities, warnings=[warning])


def _originals(scans: Sequence[BidsScan]) -> list[BidsScan]:
    """Return the scans of a session without projections; with a warning where there is nothing else."""
    projections = [scan for scan in scans if _is_projection(scan)]
    originals = [scan for scan in scans if scan not in projections]
    if any(scan.contrast == "dark" for scan in originals):
        left_out = [f"left out '{scan.image.name}', an intensity projection by its name" for scan in projections]
        return [replace(scan, notes=[*scan.notes, *left_out]) for scan in originals]
    warning = "scan '{}' is an intensity projection by its name: what lies in several slices is seen in each of them"
    return originals + [
        replace(scan, warnings=[*scan.warnings, warning.format(scan.image.name)]) for scan in projections
    ]


def _is_projection(scan: BidsScan) -> bool:
    return bool(derivation((), *(value for name, value in scan.entities.items() if name not in ("sub", "ses", "run"))))


def _choose(files: Sequence[_File]) -> tuple[_File, list[str], list[str]]:
    """Return the echo to take, why, in a sentence where there are several, and what is wrong with their sidecars."""
    if len(files) == 1:
        return files[0], [], []
    files = sorted(files, key=lambda file: file.echo, reverse=True)  # among equals choose_scan takes the first
    read = [read_sidecar(file.path) for file in files]
    times = [echo_ms(tags) for tags, _ in read]
    times = times if all(times) else [0.0] * len(files)
    folder = files[0].path.parent
    choice, _ = choose_scan(
        [Converted(file.path, folder, echo_ms=time) for file, time in zip(files, times, strict=True)]
    )
    chosen = next(file for file in files if file.path == choice.image)
    time = f"TE {choice.echo_ms:.3g} ms" if choice.echo_ms else "the last; not all echo times are known"
    return chosen, [f"echo-{chosen.echo}, chosen from {len(files)} ({time})"], _few([notices for _, notices in read])


def _few(warnings: Iterable[Sequence[str]]) -> list[str]:
    """Return the warnings of the sidecars of several echoes as one or two: most have the same fault."""
    first, *others = dict.fromkeys(one for notices in warnings for one in notices) or [""]
    more = [f"more sidecars of its echoes have faults: {len(others)}"] if others else []
    return [first, *more] if first else []
