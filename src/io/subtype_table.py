"""Table of the subtypes of a cohort: one row a scan, also for those that failed."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..lesions.cohort import failed_columns, warning_columns
from .tables import write_table


def write_subtypes(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write a table of case, status, reason, subtype, a column for each class, and what it rests on.

    Every scan that was worked on has all columns. ``subtype`` is ``n/a`` where none applies, and ``reason`` says why.

    Args:
        rows: ``case`` and ``status``, and either ``reason`` or the content of the JSON that :class:`SubtypeWriter`
            writes.
        path: of the table (.tsv); ``n/a`` stands for what a scan does not have.
    """
    table = [_columns(row) for row in rows]
    columns = list(dict.fromkeys(name for row in sorted(table, key=len, reverse=True) for name in row))
    write_table(table, path, columns)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["status"] != "ok":
        return failed_columns(row)
    return {
        "case": row["case"],
        "subject": row.get("subject"),
        "status": row["status"],
        "reason": row["reason"],
        "subtype": row["subtype"],
        **{f"p_{name}": value for name, value in row["probabilities"].items()},
        "n_lesions": row["counts"]["total"],
        **row["covariates"],
        **warning_columns(row),
    }
