"""Tables and page of a cohort, from the rows of its scans or from the results that are there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..io import derivative_path, read_rows, source_of, write_all_lesions, write_cohort_table, write_dataset
from ..io.bids.outcomes import read_outcomes
from ..report import write_cohort_page
from .pool import Row

ALL_LESIONS = "lesions_all.tsv"
"""Name of the table of the lesions of a cohort."""


def page_path(out: Path, case: str, bids: bool = False) -> Path:
    """Return where the page of a case is, in a BIDS derivative where asked."""
    return derivative_path(out, case, "_report.html") if bids else out / case / f"{case}.html"


def lesions_path(out: Path, case: str, bids: bool = False) -> Path:
    """Return where the table of lesions of a case is, in a BIDS derivative where asked."""
    return derivative_path(out, case, "_dseg.tsv") if bids else out / case / f"{case}_lesions.tsv"


def write_cohort(rows: Sequence[Row], table: Path) -> None:
    """Write the table of a cohort and, beside it, the page and the table of all lesions."""
    write_cohort_table(rows, table)
    write_cohort_page(rows, table.parent)
    write_all_lesions(rows, table.with_name(ALL_LESIONS), partial(lesions_path, table.parent))


def write_derivative_cohort(rows: Sequence[Row], out: Path, source: Path) -> None:
    """Write what a BIDS derivative says of all its scans, the page of the cohort and the table of all lesions."""
    write_dataset(rows, out, source)
    write_cohort_page(rows, out, lambda case: page_path(Path(), case, bids=True).as_posix())
    write_all_lesions(rows, out / ALL_LESIONS, partial(lesions_path, out, bids=True))


def report(out: Path) -> Path:
    """Write table and page of a cohort once more, from the results that are there, and return the page.

    Args:
        out: folder of the results of :func:`detect`, or BIDS derivative in its BIDS folder.

    Raises:
        InputError: it holds no results.
    """
    if (out / "dataset_description.json").exists():
        write_derivative_cohort(read_outcomes(out), out, source_of(out))
    else:
        write_cohort(read_rows(out), out / "cohort.tsv")
    return out / "index.html"
