"""What names and sidecars of BIDS say of an image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .tags import checked_tags

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


def read_sidecar(image: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what the JSON file beside an image says, and within BIDS those that it inherits from; ``{}`` without any.

    Of files that say the same, the nearest counts, then the one with most entities (BIDS, inheritance principle). What
    cannot be read is left out, a file or one of its tags, see :func:`csvd.io.bids.tags.checked_tags`: no scan is
    lost for its sidecar.

    Returns:
        The tags, and for each file of which something was left out or changed a sentence that names it.
    """
    root = bids_root(image)
    own = image.parent / f"{image.name.removesuffix('.gz').removesuffix('.nii')}.json"
    tags: dict[str, Any] = {}
    warnings = []
    for path in [own] if root is None else _sidecars(image, root):
        try:
            found, faults = checked_tags(_read_json(path))
        except FileNotFoundError:
            if not path.is_symlink():
                continue
            found, faults = {}, ["is a link to content that is not here, and was not used; `datalad get` gets it"]
        except OSError as error:
            found, faults = {}, [f"cannot be read ({error.strerror}), and was not used"]
        except ValueError as error:
            found, faults = {}, [f"{error}, and was not used; repair it, or take it away"]
        tags |= found
        if faults:
            warnings.append(" ".join(f"sidecar '{path}' {'; '.join(faults)}".split()))
    return tags, warnings


def echo_ms(tags: Mapping[str, Any]) -> float:
    """Return the echo time of a sidecar in ms, 0 where it names no single one."""
    return 1000 * tags.get("EchoTime", 0.0)


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
    """Return the object in a JSON file of any Unicode encoding, with a mark of it or without.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it holds no JSON object; the message goes on after its name.
    """
    content = path.read_bytes()
    try:
        tags = json.loads(content.decode(json.detect_encoding(content), errors="replace"))
    except (ValueError, RecursionError) as error:
        what = f"it is not: {error}" if content.strip() else "it is empty"
        raise ValueError(f"must be JSON, {what}") from None
    if not isinstance(tags, dict):
        raise ValueError(f"must hold tags by name, it holds {tags!r:.50}")
    return tags
