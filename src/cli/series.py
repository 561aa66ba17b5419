"""What ``csvd sort`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .app import console
from .screen import is_terminal, print_columns, print_text

if TYPE_CHECKING:
    from ..workflows.gate import SortedSeries

HEADS = ("series", "sequence", "pixels", "prob.", "tags", "detector")


def print_series(rows: Sequence[SortedSeries]) -> None:
    """Print a row a series; its remarks are a column, or in a terminal sentences below the table."""
    cells = [_cells(row) for row in rows]
    remarks = ["; ".join(row.found.remarks) if row.found else row.reason for row in rows]
    if is_terminal(console):
        print_columns(console, HEADS, cells)
        for row, remark in zip(rows, remarks, strict=True):
            if remark:
                print_text(console, f"{row.name}: {remark}")
    else:
        print_columns(console, (*HEADS, "remark"), [[*row, one] for row, one in zip(cells, remarks, strict=True)])
    console.print("Research use only.")


def _cells(row: SortedSeries) -> list[str]:
    found = row.found
    if found is None:
        return [row.name, "", "", "", "", "no"]
    fit = "no" if found.contrast is None else f"yes, {found.contrast}"
    return [row.name, found.sequence, found.pixels, f"{found.probability:.2f}", found.tags or "", fit]
