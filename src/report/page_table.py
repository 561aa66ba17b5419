"""The table of lesions as a section of the page."""

from collections.abc import Sequence
from html import escape
from math import isnan

from ..lesions import LARGEST_MM
from ..lesions.table import COLUMNS, UNKNOWN, Lesion

MAX_PICTURED = 40
TITLES = {"i": "i", "j": "j", "k": "k", "x_mm": "x mm", "y_mm": "y mm", "z_mm": "z mm", "volume_mm3": "volume mm³"} | {
    "diameter_mm": "diameter mm",
    "longest_mm": "longest mm",
    "large": f"&gt; {LARGEST_MM:g} mm",
    "contrast_percent": "contrast %",
    "cnr": "CNR",
    "detector_probability": "first step",
    "edge_mm": "edge mm",
    "susceptibility_contrast": "its contrast",
}
FIRST = ("id", "x_mm", "y_mm", "z_mm", "probability", "region", "side", "mars", "diameter_mm", "longest_mm")
ORDER = (*FIRST, *(name for name in COLUMNS if name not in FIRST))
"""What is asked for first stands first; the rest comes by scrolling."""
WORDS = ("region", "side", "mars", "susceptibility")
HEADING = "Suspected microbleeds"


def table_section(lesions: Sequence[Lesion]) -> str:
    """Return the HTML of the section; the ids of the first 40 lead to their pictures."""
    if not lesions:
        return (
            '<section><h2>Suspected microbleeds</h2><p class="hint">No candidate reaches the threshold.</p></section>'
        )
    heads = "".join(
        f'<th{_class(name)} title="{escape(COLUMNS[name])}"><button>{TITLES.get(name, name)}</button></th>'
        for name in ORDER
    )
    rows = "".join(_row(lesion, pictured=n < MAX_PICTURED) for n, lesion in enumerate(lesions))
    return (
        f'<section><h2>{HEADING}</h2><p class="hint">World coordinates in mm (RAS+), voxels of the scan as stored, '
        "from 0. Click a heading to sort, an id to see its picture.</p>"
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _row(lesion: Lesion, pictured: bool) -> str:
    cells = []
    for name in ORDER:
        value = getattr(lesion, name)
        text = _cell(name, value)
        if name == "probability":
            cells.append(f'<td class="bar" style="--share: {100 * lesion.probability:.0f}%">{text}</td>')
        elif name == "id" and pictured:
            cells.append(f'<td><a href="#lesion-{value}">{value}</a></td>')
        else:
            cells.append(f"<td{_class(name)}>{text}</td>")
    return f'<tr id="row-{lesion.id}">{"".join(cells)}</tr>'


def _cell(name: str, value: float | str) -> str:
    if not isinstance(value, float):
        return f"{value}"
    if isnan(value):
        return UNKNOWN
    if name == "difference":
        return f"{value:.3g}"
    return f"{value:.2f}" if "probability" in name or name == "ellipticity" else f"{value:.1f}"


def _class(name: str) -> str:
    return ' class="word"' if name in WORDS else ""
