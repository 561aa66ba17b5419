"""Tables of tab-separated values, as BIDS has them: UTF-8, a header, ``n/a`` for what is missing."""

import csv
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..lesions.burden import UNKNOWN
from ..names import storable
from .files import atomic_path

FORMULA = re.compile(r"'*[=+\-@\t]")
"""Start of a text that a spreadsheet would run as a formula, or that was kept from it by an apostrophe."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What a terminal may take for a command."""


def write_table(
    rows: Iterable[Mapping[str, Any]],
    path: str | os.PathLike[str],
    columns: Collection[str] | None = None,
    missing: str = UNKNOWN,
) -> None:
    """Write rows as a table, whole or not at all; folders above it are made.

    Texts that a spreadsheet would run as formulas, such as a file called ``=1+1``, start with an apostrophe, which
    :func:`read_table` takes off.

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
            table.writerow({name: missing if value is None else _cell(str(value)) for name, value in row.items()})


def read_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Return the rows of a table, every value as text."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [{name: _text(cell) for name, cell in row.items()} for row in csv.DictReader(file, delimiter="\t")]


def _cell(text: str) -> str:
    text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", storable(text).replace("\r", " "))  # which may end a row
    return f"'{text}" if FORMULA.match(text) and not is_number(text) else text


def _text(cell: Any) -> Any:
    """Return what :func:`_cell` was given; of rows that are too short or too long, what the reader makes of them."""
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and FORMULA.match(cell) else cell


def is_number(text: str) -> bool:
    """Return whether a cell holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
