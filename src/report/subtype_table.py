"""Table of the subtypes of a cohort: one row a scan, also for those that failed."""

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import atomic_path
from .lesion_table import UNKNOWN


def write_subtypes(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write a table of case, status, reason, likeliest class, a column for each class, and what it rests on.

    Args:
        rows: ``case`` and ``status``, and either ``reason`` or the content of the JSON that :class:`SubtypeWriter`
            writes.
        path: of the table (.tsv); ``n/a`` stands for what a scan does not have.
    """
    table = [_columns(row) for row in rows]
    columns = list(dict.fromkeys(name for row in sorted(table, key=len, reverse=True) for name in row))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", restval=UNKNOWN)
        writer.writeheader()
        writer.writerows({name: UNKNOWN if value is None else value for name, value in row.items()} for row in table)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    known = {"case": row["case"], "status": row["status"]}
    if row["status"] != "ok":
        return {**known, "reason": " ".join(str(row["reason"]).split())}
    return {
        **known,
        "reason": None,
        "likeliest": row["likeliest"],
        **{f"p_{name}": value for name, value in row["probabilities"].items()},
        "n_lesions": row["counts"]["total"],
        **row["covariates"],
        "n_warnings": len(row["warnings"]),
        "seconds": round(sum(row["seconds"].values()), ndigits=1),
    }
