"""Tables of a cohort: one row a scan, also for those that failed, and one row a lesion; with data dictionaries."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..lesions.cohort import COHORT_COLUMNS, cohort_table
from ..lesions.dictionary import data_dictionary
from ..lesions.table import LESION_COLUMNS
from .files import write_text
from .tables import read_table, write_table

ALL_LESIONS_COLUMNS: dict[str, str] = {
    "case": "name of the scan and of its folder, as in cohort.tsv",
    "subject": "person who was scanned, from BIDS or a data list",
    "session": "session of the scan, where its name tells it as BIDS does, such as ses-1",
    **LESION_COLUMNS,
}
"""Columns of ``lesions_all.tsv``, in order, and their content."""


def write_cohort_table(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write ``cohort.tsv``, :func:`cohort_table` of the rows, and its data dictionary ``cohort.json``."""
    write_table(cohort_table([*rows]), path, COHORT_COLUMNS)
    write_dictionary(COHORT_COLUMNS, Path(path).with_suffix(".json"))


def write_all_lesions(
    rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str], table_of: Callable[[str], Path]
) -> None:
    """Write ``lesions_all.tsv``, a row a lesion of all scans that did not fail, and its data dictionary.

    Args:
        rows: as :func:`write_cohort_table` takes them.
        path: of the table.
        table_of: returns the table of lesions of a case, on disk.

    Raises:
        InputError: a scan has a result, and no table of lesions.
    """
    done = [row for row in rows if row["status"] == "ok"]
    write_table([lesion for row in done for lesion in _lesions(row, table_of)], path, ALL_LESIONS_COLUMNS)
    write_dictionary(ALL_LESIONS_COLUMNS, Path(path).with_suffix(".json"))


def _lesions(row: Mapping[str, Any], table_of: Callable[[str], Path]) -> Iterator[dict[str, Any]]:
    table = table_of(row["case"])
    if not table.exists():
        raise InputError(
            f"table '{table}' of the lesions of case '{row['case']}' is not there: put it back, or remove the result "
            "and detect again."
        )
    session = re.search(r"(?<=_)ses-[^_]+", row["case"])
    known = {"case": row["case"], "subject": row.get("subject"), "session": session and session.group()}
    for lesion in read_table(table):
        number = lesion.get("id", lesion.get("index"))  # what BIDS calls it
        yield {**known, **{name: lesion.get(name) for name in LESION_COLUMNS}, "id": number}


def write_dictionary(columns: Mapping[str, str], path: Path) -> None:
    """Write the data dictionary of a table, see :func:`data_dictionary`."""
    write_text(json.dumps(data_dictionary(columns), indent=2, ensure_ascii=False) + "\n", path)


def read_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a cohort from its results: the JSON of each case, and what failed from the table of a run.

    A case that failed in that run stays failed, though an earlier run left a JSON.

    Args:
        out: folder of the results; JSON files of another kind are left out.

    Raises:
        InputError: there is neither.
    """
    rows, written = {}, {}
    for path in sorted(out.glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and {"case", "counts", "threshold"} <= record.keys():
            rows[record["case"]], written[record["case"]] = {"status": "ok", **record}, path.stat().st_mtime
    table = out / "cohort.tsv"
    if table.exists():
        failed = [row for row in read_table(table) if row["status"] != "ok"]
        for row in failed:
            if written.get(row["case"], 0) < table.stat().st_mtime:
                rows[row["case"]] = {name: row.get(name) for name in ("case", "subject", "status", "reason")}
    if not rows:
        raise InputError(f"folder '{out}' must hold results of `csvd detect`, it holds none: check the path.")
    return [rows[name] for name in sorted(rows)]
