"""One self-contained page about a cohort: numbers of lesions, distributions, and the scans to look at first."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ..io.files import write_text
from ..lesions import COHORT_COLUMNS, cohort_table, quality_flags
from ..lesions.burden import BURDEN_COLUMNS
from ..lesions.quality import RULE, measures
from .environment import render
from .histogram import UNITS, histograms

Row = Mapping[str, Any]
CLASSES = {
    "case": "word",
    "subject": "word",
    "status": "word",
    "qc": "word wrap",
    **dict.fromkeys(BURDEN_COLUMNS, "word"),
}
NOT_SHOWN = ("reason", "warnings", "mars_", "regions", "aria_h")


def page_of_case(case: str) -> str:
    """Return the address of the page of a case, from the folder of all results: ``<case>/<case>.html``."""
    return f"{case}/{case}.html"


def write_cohort_page(
    rows: Sequence[Row], out: str | os.PathLike[str], page_of: Callable[[str], str] = page_of_case
) -> None:
    """Write :func:`cohort_page` to ``index.html`` in the folder of the results."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_text(cohort_page(rows, out.absolute().name, page_of), out / "index.html")


def cohort_page(rows: Sequence[Row], name: str, page_of: Callable[[str], str] = page_of_case) -> str:
    """Return the HTML of the page.

    Args:
        rows: as :func:`write_cohort_table` takes them.
        name: of the cohort.
        page_of: gives the page of a case that did not fail, relative to the page of the cohort.
    """
    flags = quality_flags(rows)
    results = [row for row in rows if row["status"] == "ok"]
    counts = [row["counts"]["total"] for row in results]
    flagged = [(row, "; ".join(_reasons(row, of_row))) for row, of_row in zip(rows, flags, strict=True) if of_row]
    return render(
        "cohort.html",
        name=name,
        rows=rows,
        counts=counts,
        median=f"{median(counts):g}" if counts else None,
        large=sum(row["counts"]["large"] for row in results),
        flagged=flagged,
        page_of=page_of,
        histograms=[*histograms(rows, flags)],
        columns=[
            (name, name.removeprefix("n_").replace("_", " "), words, CLASSES.get(name))
            for name, words in COHORT_COLUMNS.items()
            if not name.startswith(NOT_SHOWN)
        ],
        table=cohort_table(rows),
        settings={
            "csvd": {row["versions"]["csvd"] for row in results},
            "threshold": {f"{row['threshold']:.4g}" for row in results},
            "contrast": {row["contrast"] for row in results},
        },
        rule=RULE,
    )


def _reasons(row: Row, flags: Sequence[str]) -> Iterator[str]:
    """Yield why a scan is flagged, in words, with values."""
    if row["status"] != "ok":
        yield f"failed, {row['reason']}"
        return
    yield from row["warnings"]
    for name, value in measures(row).items():
        if f"outlier: {name}" in flags:
            yield f"{name} {value:g} {UNITS.get(name, '')}".rstrip() + " is an outlier"
