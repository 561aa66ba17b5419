"""Tables of tab-separated values, as BIDS has them: UTF-8, a header, ``n/a`` for what is missing."""

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..lesions.burden import UNKNOWN
from ..names import storable
from .files import atomic_path


def write_table(
    rows: Iterable[Mapping[str, Any]],
    path: str | os.PathLike[str],
    columns: Collection[str] | None = None,
    missing: str = UNKNOWN,
) -> None:
    """Write rows as a table, whole or not at all; folders above it are made.

    Args:
        rows: values by column; ``None`` is missing.
        path: of the table, ``.tsv``.
        columns: in order. Defaults to those of all rows, in the order in which they come up.
        missing: what stands for a value that a row does not have.

    Raises:
        ValueError: a row has a column that ``columns`` lacks.
    """
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else list(columns)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, missing, delimiter="\t", lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: missing if value is None else storable(str(value)) for name, value in row.items()})


def read_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Return the rows of a table, every value as text."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))
