"""Table of a cohort: one row a scan, also for those that failed."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..lesions.cohort import COHORT_COLUMNS, cohort_table
from .tables import read_table, write_table


def write_cohort_table(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write ``cohort.tsv``: :func:`cohort_table` of the rows."""
    write_table(cohort_table([*rows]), path, COHORT_COLUMNS)


def read_rows(out: Path, records: str = "*/*.json", table: str = "cohort.tsv") -> list[dict[str, Any]]:
    """Return the rows of a cohort from its results: the JSON of each case, and what failed from the table of a run.

    A case that failed in that run stays failed, though an earlier run left a JSON.

    Args:
        out: folder of the results.
        records: pattern of the JSON files; those of another kind are left out.
        table: name of the table.

    Raises:
        InputError: there is neither.
    """
    rows, written = {}, {}
    for path in sorted(out.glob(records)):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and {"case", "counts", "threshold"} <= record.keys():
            rows[record["case"]], written[record["case"]] = {"status": "ok", **record}, path.stat().st_mtime
    if (out / table).exists():
        failed = [row for row in read_table(out / table) if row["status"] != "ok"]
        for row in failed:
            if written.get(row["case"], 0) < (out / table).stat().st_mtime:
                rows[row["case"]] = {name: row.get(name) for name in ("case", "subject", "status", "reason")}
    if not rows:
        raise InputError(f"folder '{out}' must hold results of `csvd detect`, it holds none: check the path.")
    return [rows[name] for name in sorted(rows)]
