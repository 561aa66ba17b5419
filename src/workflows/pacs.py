"""Detection in studies of a DICOMweb server, whose results go back to it: each once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..io import Case, read_rows
from ..io.dicom.web import DicomWeb
from ..io.tables import read_table, write_table
from ..io.web_cases import WebCase, find_web_case, results_of, stored_results
from .cohort import write_cohort
from .detection import detect
from .pool import Row, attempt, rank_and_world_size
from .results import Result

logger = logging.getLogger(__name__)

STUDIES = "studies.tsv"
"""Table beside the results: which study each is of, and how many of its DICOM objects the server has."""


def detect_studies(url: str, studies: Iterable[str], out: Path, bundle: Path, **how: Any) -> list[Row]:
    """Detect microbleeds in studies of a server.

    Args:
        url: of the server, see :class:`csvd.io.dicom.web.DicomWeb`.
        studies: StudyInstanceUID of each.
        out: folder of the results.
        bundle: folder of the detection bundle.
        how: see :func:`detect_cases`.

    Raises:
        InputError: the server does not have a study, or see :func:`detect_cases`.
    """
    server = DicomWeb(url)
    cases = [find_web_case(server, study) for study in dict.fromkeys(studies)]
    rows = detect_cases(server, cases, out, bundle, **how)
    if rank_and_world_size()[0] == 0:
        note_studies(out, {case.name: case.study for case in cases}, rows)
        if how.get("store") and len(rows) > 1:  # some may have failed since
            write_cohort(rows, out / "cohort.tsv")
    return rows


def detect_cases(
    server: DicomWeb,
    cases: Sequence[WebCase],
    out: Path,
    bundle: Path,
    *,
    store: bool = False,
    dicom: bool = False,
    overwrite: bool = False,
    **how: Any,
) -> list[Row]:
    """Detect microbleeds in studies of a server, and return a row each.

    Args:
        server: that has them.
        cases: the studies.
        out: see :func:`csvd.workflows.detection.run_bundle`.
        bundle: folder of the detection bundle.
        store: send segmentation and report to the server, but not what it has already; the row then has how many of
            them it has (``stored``).
        dicom: see :func:`csvd.workflows.detection.run_bundle`; ``store`` includes it.
        overwrite: replace the results of an earlier run, and send further ones.
        how: further arguments of :func:`csvd.workflows.detection.run_bundle`.

    Raises:
        InputError: the server has results of csvd that are not those in ``out``, and ``overwrite`` is false; or see
            :func:`csvd.workflows.detection.run_bundle`.
    """
    for case in cases if store and not overwrite else ():
        others = stored_results(case.series) - results_of(out, case.name).keys()
        if others:
            raise InputError(
                f"study '{case.study}' on server '{case.url}' must have no result of csvd yet, it has {len(others)} "
                "objects. Leave out --store, or give --overwrite to send further ones."
            )
    rows = detect(cases, out, bundle, dicom=dicom or store, overwrite=overwrite, **how)
    if not store or rank_and_world_size()[0]:
        return rows
    return [_stored(server, case, row, out) for case, row in zip(cases, rows, strict=True)]


def _stored(server: DicomWeb, case: WebCase, row: Row, out: Path) -> Row:
    """Send the results of a study, and return its row; a failed one where they could not be sent."""
    if row["status"] == "failed":
        return row

    def send(case: Case) -> Result:
        results = results_of(out, case.name)
        there = stored_results(server.series(study))  # asked now: an earlier run, or another one, may have sent them
        left = [path for name, path in results.items() if name not in there]
        if left:
            server.store(study, left)
        return Result({**row, "stored": len(results)})

    study = case.study
    sent = attempt(send, case).row
    if sent["status"] == "failed":
        sent["reason"] += f" Its results are in '{out / case.name}': --resume sends them."
        logger.error("%s was not stored: %s", case.name, sent["reason"])
    return sent


def noted_studies(out: Path) -> list[dict[str, str]]:
    """Return the rows of the table of studies beside results: ``case``, ``study``, ``status`` and ``stored``."""
    return read_table(out / STUDIES) if (out / STUDIES).exists() else []


def note_studies(out: Path, studies: dict[str, str], rows: Sequence[Row]) -> None:
    """Put studies into the table beside their results.

    Args:
        out: folder of the results.
        studies: StudyInstanceUID by name of the case.
        rows: of these cases.
    """
    table: dict[str, Row] = {row["case"]: dict(row) for row in noted_studies(out)}
    for row in rows:
        case = row["case"]
        table[case] = {"case": case, "study": studies[case], "status": row["status"], "stored": row.get("stored")}
    write_table(table.values(), out / STUDIES, ("case", "study", "status", "stored"))


def add_to_cohort(out: Path, row: Row) -> None:
    """Write table and page of the cohort once more, with one row that is new."""
    try:
        known = read_rows(out)
    except InputError:  # the first one
        known = []
    rows = {one["case"]: one for one in known} | {row["case"]: row}
    write_cohort([rows[name] for name in sorted(rows)], out / "cohort.tsv")
