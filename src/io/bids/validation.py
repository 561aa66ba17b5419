"""What the official BIDS validator says of a data set, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...checks import InputError
from .folders import BIDS_SUFFIXES
from .labels import Labels
from .sidecars import bids_name

VALIDATOR = "bids-validator-deno"
NAMED = 3
"""How many of the errors a message has."""


def find_validator() -> str | None:
    """Return the program, from beside this Python or the path of programs; None where it is not installed."""
    return shutil.which(VALIDATOR, path=str(Path(sys.executable).parent)) or shutil.which(VALIDATOR)


def check_dataset(root: Path, validator: str, labels: Labels | None = None) -> None:
    """Check that a data set is valid BIDS.

    What csvd reads though BIDS has no name for it, such as ``swi``, is no error. With labels, neither is what is wrong
    with the files of other participants.

    Args:
        root: its folder.
        validator: the program, see :func:`find_validator`.
        labels: participants that are worked on; all when not given.

    Raises:
        InputError: the validator found errors, or could not run.
    """
    done = subprocess.run([validator, str(root), "--format", "json"], capture_output=True, text=True, errors="replace")
    try:
        issues = json.loads(done.stdout)["issues"]["issues"]
    except (ValueError, KeyError, TypeError):
        told = " ".join((done.stderr or done.stdout).split())[-200:]
        raise InputError(
            f"the BIDS validator did not finish on '{root}' (exit code {done.returncode}): {told or 'no output'}. "
            "Give --skip-bids-validator."
        ) from None
    errors = [*_errors(issues, labels or Labels())]
    if errors:
        more = f", and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
        raise InputError(
            f"BIDS folder '{root}' must be valid, the validator found errors ({len(errors)}): "
            f"{', '.join(errors[:NAMED])}{more}. Correct them, name files that BIDS does not know in .bidsignore, or "
            "give --skip-bids-validator."
        )


def _errors(issues: Sequence[Mapping[str, Any]], labels: Labels) -> Iterator[str]:
    """Yield the code and the location of each error that counts."""
    for issue in issues:
        location = str(issue.get("location") or "")
        if issue.get("severity") != "error" or not _counts(issue["code"], Path(location), labels):
            continue
        yield f"{issue['code']} {location}".rstrip()


def _counts(code: str, location: Path, labels: Labels) -> bool:
    subject = next((part for part in location.parts if part.startswith("sub-")), None)
    if subject is not None and not Labels(labels.participants).include(subject):
        return False
    return code != "NOT_INCLUDED" or bids_name(location)[1] not in BIDS_SUFFIXES
