"""Table of the subtypes of a cohort: one row a scan, also for those that failed."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..lesions.cohort import COHORT_COLUMNS, failed_columns, warning_columns
from .cohort_table import write_dictionary
from .tables import write_table

SUBTYPE_COLUMNS: dict[str, str] = {
    **{name: COHORT_COLUMNS[name] for name in ("case", "subject", "status")},
    "reason": "reason of the failure, or why no subtype applies",
    "subtype": "most probable subtype of small vessel disease; n/a where none applies",
    "n_lesions": "number of microbleeds that the answer is based on, detected or given",
    "age": "age in years, as given",
    "sex": "sex, as given",
    **{name: COHORT_COLUMNS[name] for name in ("n_warnings", "warnings")},
}
"""Columns of the table and their content, besides ``p_<class>``."""
PROBABILITY = "p_"


def write_subtypes(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write a table of case, status, reason, subtype, a column for each class, and what it rests on.

    Its data dictionary, of the same name with the ending ``.json``, is written too.

    Every scan that was worked on has all columns. ``subtype`` is ``n/a`` where none applies, and ``reason`` says why.

    Args:
        rows: ``case`` and ``status``, and either ``reason`` or the content of the JSON that :class:`SubtypeWriter`
            writes.
        path: of the table (.tsv); ``n/a`` stands for what a scan does not have.
    """
    table = [_columns(row) for row in rows]
    columns = list(dict.fromkeys(name for row in sorted(table, key=len, reverse=True) for name in row))
    write_table(table, path, columns)
    write_dictionary({name: _description(name) for name in columns}, Path(path).with_suffix(".json"))


def _description(column: str) -> str:
    if column.startswith(PROBABILITY):
        return f"probability of {column.removeprefix(PROBABILITY)} among the subtypes"
    return SUBTYPE_COLUMNS[column]


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["status"] != "ok":
        return failed_columns(row)
    return {
        "case": row["case"],
        "subject": row.get("subject"),
        "status": row["status"],
        "reason": row["reason"],
        "subtype": row["subtype"],
        **{f"{PROBABILITY}{name}": value for name, value in row["probabilities"].items()},
        "n_lesions": row["counts"]["total"],
        **row["covariates"],
        **warning_columns(row),
    }
