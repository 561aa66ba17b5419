"""A BIDS App: participants one by one, each perhaps in a process of its own, and then their group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..io import check_derivative, find_cases, is_bids
from ..io.bids.labels import Labels, read_labels
from ..io.bids.outcomes import read_outcomes
from ..io.bids.validation import VALIDATOR, check_dataset, find_validator
from ..names import storable
from .cohort import write_derivative_cohort
from .detection import detect
from .pool import Row


def read_dataset(root: Path, participants: Iterable[str], sessions: Iterable[str]) -> Labels:
    """Return the labels to work on, see :func:`csvd.io.bids.labels.read_labels`.

    Raises:
        InputError: ``root`` is no BIDS folder, or has none of that name.
    """
    if not (root.is_dir() and is_bids(root)):
        raise InputError(f"BIDS_DIR '{root}' must be a BIDS folder, it is none. Give its root.")
    return read_labels(root, participants, sessions)


def validate(root: Path, labels: Labels) -> str:
    """Return in a sentence what the BIDS validator says of a data set that it finds no error in.

    Raises:
        InputError: see :func:`csvd.io.bids.validation.check_dataset`.
    """
    validator = find_validator()
    if validator is None:
        return f"not validated, because {VALIDATOR} is not installed: pip install {VALIDATOR}"
    check_dataset(root, validator, labels)
    return f"valid by {VALIDATOR}: {root}"


def run_participants(source: Path, out: Path, bundle: Path, labels: Labels, **how: Any) -> tuple[list[Row], list[str]]:
    """Detect in the scans of some participants, and write no file that the run of others would write too.

    What says of the derivative what it is, is the same whoever writes it.

    Args:
        source: BIDS folder.
        out: derivative, into which others may write at the same time.
        bundle: folder of the detection bundle.
        labels: participants and sessions.
        how: further arguments of :func:`csvd.workflows.detection.run_bundle`.

    Returns:
        The rows of :func:`csvd.workflows.detection.detect`, and who of the participants has no scan.
    """
    rows = detect(source, out, bundle, bids=True, cohort=False, labels=labels, **how)
    return rows, _absent(labels, rows)


def _absent(labels: Labels, rows: Sequence[Row]) -> list[str]:
    scanned = {row["case"].split("_")[0] for row in rows}
    return [f"sub-{label}" for label in labels.participants if f"sub-{label}" not in scanned]


def run_group(source: Path, out: Path, labels: Labels) -> tuple[list[Row], list[str]]:
    """Write tables and page of a cohort from what the runs of its participants left.

    Args:
        source: BIDS folder.
        out: derivative.
        labels: participants and sessions.

    Returns:
        A row a scan, and the scans of which no run has told yet.

    Raises:
        InputError: there is no result, or the derivative is not one of csvd.
    """
    check_derivative(out, ())
    rows = [row for row in read_outcomes(out) if labels.include(row["case"])]
    if not rows:
        raise InputError(f"'{out}' must hold results of these participants, it holds none: run `participant` first.")
    write_derivative_cohort(rows, out, source)
    told = {row["case"] for row in rows}
    return rows, [case.name for case in find_cases(source, labels=labels) if storable(case.name) not in told]
