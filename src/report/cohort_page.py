"""One self-contained page about a cohort: how many, how they are distributed, and which scans to look at first."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import numpy as np

from ..io.cohort_table import COHORT_COLUMNS, cohort_table
from ..io.files import write_text
from ..lesions import LARGEST_MM
from ..lesions.burden import UNKNOWN
from ..lesions.burden import WORDS as BURDEN
from ..lesions.quality import RULE, measures, quality_flags
from .page import LIMITS, cards_of, document, limits_section

Row = Mapping[str, Any]
WIDTH, HEIGHT = 260, 130
MAX_BINS = 24
WORDS = {"case": "word", "subject": "word", "status": "word", "qc": "word wrap", **dict.fromkeys(BURDEN, "word")}
NOT_SHOWN = ("reason", "warnings", "mars_", "regions", "aria_h")
UNITS = {"brain volume": "ml"}


def page_of_case(case: str) -> str:
    """Return where the page of a case lies, from the folder of all results: ``<case>/<case>.html``."""
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
    sections = (_first(rows, flags, page_of), _distributions(rows, flags), _table(rows, page_of), _made(rows))
    good = [row["counts"]["total"] for row in rows if row["status"] == "ok"]
    large = sum(row["counts"]["large"] for row in rows if row["status"] == "ok")
    cards = [
        (len(rows), "scans"),
        (len(good), "with a result"),
        (len(rows) - len(good), "failed"),
        (sum(count > 0 for count in good), "with suspected microbleeds"),
        (sum(good), "suspected microbleeds"),
        *([(large, f"larger than {LARGEST_MM:g} mm")] if large else []),
        (f"{median(good):g}" if good else UNKNOWN, "median a scan"),
        (sum(map(bool, flags)), "to look at first"),
    ]
    summary = f"{sum(good) or 'No'} suspected microbleed{'' if sum(good) == 1 else 's'} in {_scans(len(good))}"
    if large:
        summary += f"; {large} lesion{'' if large == 1 else 's'} larger than {LARGEST_MM:g} mm, not counted"
    kicker = "Suspected cerebral microbleeds of a cohort"
    all_sections = chain(sections, [limits_section(LIMITS)])
    return document(name, kicker, summary, cards_of(cards), all_sections, pictures=False)


def _first(rows: Sequence[Row], flags: Sequence[Sequence[str]], page_of: Callable[[str], str]) -> str:
    lines = "".join(
        f"<li>{_link(row, page_of)}: {escape('; '.join(_reasons(row, said)))}</li>"
        for row, said in zip(rows, flags, strict=True)
        if said
    )
    if not lines:
        return ""
    return f'<section class="warnings"><h2>Look at these first</h2><ul class="long">{lines}</ul></section>'


def _reasons(row: Row, flags: Sequence[str]) -> Iterator[str]:
    """Yield why a scan is flagged, in words, with values."""
    if row["status"] != "ok":
        yield f"failed, {row['reason']}"
        return
    yield from row["warnings"]
    for name, value in measures(row).items():
        if f"outlier: {name}" in flags:
            yield f"{name} {value:g}{_unit(name)} is an outlier"


def _distributions(rows: Sequence[Row], flags: Sequence[Sequence[str]]) -> str:
    values: dict[str, list[tuple[float, bool]]] = {}
    for row, said in zip(rows, flags, strict=True):
        if row["status"] == "ok":
            for name, value in measures(row).items():
                if value is not None:
                    values.setdefault(name, []).append((value, f"outlier: {name}" in said))
    if not values:
        return ""
    charts = "".join(_histogram(name, values[name]) for name in sorted(values, key=_place))
    return (
        '<section><h2>Distributions</h2><p class="hint">Number of scans by value; the dashed line is the median, '
        f'outliers are orange.</p><div class="charts">{charts}</div></section>'
    )


def _place(name: str) -> tuple[int, str]:
    order = ("lesion count", "brain volume", "intensity")
    return order.index(name.partition(" (")[0]), name


def _histogram(name: str, values: Sequence[tuple[float, bool]]) -> str:
    numbers = [value for value, _ in values]
    edges = _edges(numbers, whole=name == "lesion count")
    counts, _ = np.histogram(numbers, edges)
    odd, _ = np.histogram([value for value, outlier in values if outlier], edges)
    step, low, span, top = WIDTH / len(counts), edges[0], edges[-1] - edges[0], int(counts.max())
    bars = ""
    for number, (count, outliers) in enumerate(zip(counts.tolist(), odd.tolist(), strict=True)):
        said = f"<title>{edges[number]:.4g} to {edges[number + 1]:.4g}: {_scans(count)}</title>"
        for much, kind in ((count, ""), (outliers, ' class="outlier"')):
            height = (HEIGHT - 34) * much / top
            if much:
                bars += (
                    f'<rect{kind} x="{number * step + 0.5:.1f}" y="{HEIGHT - 17 - height:.1f}" '
                    f'width="{step - 1:.1f}" height="{height:.1f}">{said}</rect>'
                )
    middle = WIDTH * (median(numbers) - low) / span
    ends = "".join(
        f'<text x="{x}" y="{HEIGHT - 2}" font-size="12" text-anchor="{anchor}">{edge:.4g}</text>'
        for x, anchor, edge in ((0, "start", low), (WIDTH, "end", edges[-1]))
    )
    return (
        f'<div><h3>{escape(name)}</h3><svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)}: histogram">{bars}<path d="M0,{HEIGHT - 17}H{WIDTH}"/>'
        f'<path class="median" d="M{middle:.1f},16V{HEIGHT - 17}"/>{ends}<text x="0" y="11" font-size="12">{top}</text>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 2}" font-size="12" text-anchor="middle">median {median(numbers):.4g}'
        f"{_unit(name)}</text></svg></div>"
    )


def _edges(numbers: Sequence[float], whole: bool) -> np.ndarray:
    """Return the edges of the bins, whole numbers of things apart where asked."""
    if whole:
        width = max(1, -(-int(max(numbers) + 1) // MAX_BINS))
        return np.arange(0, max(max(numbers), 4) + 1 + width, width)
    edges = np.histogram_bin_edges(numbers, "auto")
    return edges if len(edges) <= MAX_BINS else np.histogram_bin_edges(numbers, MAX_BINS)


def _table(rows: Sequence[Row], page_of: Callable[[str], str]) -> str:
    columns = {name: words for name, words in COHORT_COLUMNS.items() if not name.startswith(NOT_SHOWN)}
    heads = "".join(
        f'<th{_class(name)} title="{escape(words)}"><button>{_title(name)}</button></th>'
        for name, words in columns.items()
    )
    table = cohort_table(rows)
    most = max((row["n_lesions"] for row in table if "n_lesions" in row), default=0)
    body = "".join(_row(row, columns, most, page_of) for row in table)
    return (
        '<section><h2>Scans</h2><p class="hint">A row a scan; the table beside this page has more columns. Click a '
        "heading to sort, a name to see its pictures.</p>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def _row(row: Row, columns: Iterable[str], most: int, page_of: Callable[[str], str]) -> str:
    cells = []
    for name in columns:
        text = escape(_text(row.get(name)))
        if name == "case":
            cells.append(f'<td class="word">{_link(row, page_of)}</td>')
        elif name == "n_lesions" and "n_lesions" in row:
            cells.append(f'<td class="bar" style="--share: {100 * row[name] / max(most, 1):.0f}%">{text}</td>')
        else:
            cells.append(f"<td{_class(name)}>{text}</td>")
    title = f' title="{escape(row["reason"])}"' if row.get("reason") else ""
    return f"<tr{title}>{''.join(cells)}</tr>"


def _made(rows: Iterable[Row]) -> str:
    """Return the section of what the results were made with, which should be one value each."""
    good = [row for row in rows if row["status"] == "ok"]
    told = {
        "csvd": [row["versions"]["csvd"] for row in good],
        "threshold": [f"{row['threshold']:.4g}" for row in good],
        "contrast": [row["contrast"] for row in good],
    }
    items = "".join(
        f"<dt>{name}</dt><dd>{escape(', '.join(sorted(set(values))) or UNKNOWN)}</dd>" for name, values in told.items()
    )
    return (
        f'<section><h2>How it was made</h2><div class="details"><div><dl>{items}</dl></div></div>'
        f'<p class="hint">{RULE}</p></section>'
    )


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _title(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _class(name: str) -> str:
    return f' class="{WORDS[name]}"' if name in WORDS else ""


def _unit(name: str) -> str:
    return f" {UNITS[name]}" if name in UNITS else ""


def _link(row: Row, page_of: Callable[[str], str]) -> str:
    name = escape(row["case"])
    return f'<a href="{quote(page_of(row["case"]))}">{name}</a>' if row["status"] == "ok" else name


def _scans(number: int) -> str:
    return f"{number} scan{'' if number == 1 else 's'}"
