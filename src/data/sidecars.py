"""What names and sidecars of BIDS say of an image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..checks import InputError

DATATYPES = ("anat", "swi", "dwi", "func", "fmap", "perf")
"""Folders of a subject, or of its sessions, in which images lie."""


def bids_name(path: Path) -> tuple[dict[str, str], str]:
    """Return the entities and the suffix of a file: ``({"sub": "01", "run": "1"}, "swi")`` of ``sub-01_run-1_swi``."""
    *pairs, suffix = path.name.partition(".")[0].split("_")
    return dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix


def bids_root(image: Path) -> Path | None:
    """Return the BIDS folder of an image, which lies in its ``sub-*/[ses-*/]<datatype>/``, None where there is none."""
    datatype, *above = image.absolute().parents
    if datatype.name not in DATATYPES:
        return None
    subjects = (folder for folder in above[:2] if folder.name.startswith("sub-"))
    return next((folder.parent for folder in subjects if image.name.startswith(f"{folder.name}_")), None)


def read_sidecar(image: Path) -> dict[str, Any]:
    """Return what the JSON file beside an image says, and within BIDS those that it inherits from; ``{}`` without any.

    Of files that say the same, the nearest counts, then the one with most entities (BIDS, inheritance principle).

    Raises:
        InputError: such a file holds no JSON object.
    """
    root = bids_root(image)
    own = image.parent / f"{image.name.removesuffix('.gz').removesuffix('.nii')}.json"
    tags: dict[str, Any] = {}
    for path in [own] if root is None else _sidecars(image, root):
        if path.exists():
            tags |= _read_json(path)
    return tags


def echo_ms(tags: Mapping[str, Any]) -> float:
    """Return the echo time of a sidecar in ms, 0 where it names no single one."""
    seconds = tags.get("EchoTime")
    return 1000 * seconds if isinstance(seconds, int | float) else 0.0


def known_echo_ms(image: Path) -> float:
    """Return the echo time that the sidecars say, ms, 0 where they do not or cannot be read."""
    try:
        return echo_ms(read_sidecar(image))
    except InputError:  # is said of the scan when its turn comes, and must not stop the search
        return 0.0


def _sidecars(image: Path, root: Path) -> Iterator[Path]:
    """Yield the JSON files that say something of an image, from the top of the folder down."""
    entities, suffix = bids_name(image)
    above = [folder for folder in image.absolute().parents if folder == root or root in folder.parents]
    for folder in reversed(above):
        fitting = []
        for path in folder.glob("*.json"):
            others, kind = bids_name(path)
            if kind == suffix and others.items() <= entities.items():
                fitting.append((len(others), path))
        yield from (path for _, path in sorted(fitting))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tags = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except json.JSONDecodeError as error:
        raise InputError(f"sidecar '{path}' must be JSON, it is not: {error}. Repair it, or take it away.") from error
    if not isinstance(tags, dict):
        raise InputError(f"sidecar '{path}' must hold tags by name, it holds {tags!r:.50}. Repair it, or take it away.")
    return tags
