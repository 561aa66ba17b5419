"""One self-contained page about one scan: candidates, pictures, brain mask, settings and limits."""

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ..anatomy.regions import REGIONS
from ..io.files import write_text
from ..lesions import LARGEST_MM
from ..lesions.limits import LIMITS, RESEARCH_USE
from ..lesions.table import UNKNOWN, Lesion, size_of
from .overlays import Picture, lesion_pictures, mask_pictures, slab_pictures
from .page_table import MAX_PICTURED, table_section
from .scene import Scene
from .style import CSS, SCRIPT
from .viewer import viewer_section

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
SWITCH = '<label class="switch"><input type="checkbox" id="outlines" checked> outlines</label>'


def write_page(
    path: str | os.PathLike[str],
    record: Mapping[str, Any],
    lesions: Sequence[Lesion],
    scene: Scene,
    viewer: bool = True,
) -> None:
    """Write :func:`page` to a file."""
    write_text(page(record, lesions, scene, viewer), path)


def page(record: Mapping[str, Any], lesions: Sequence[Lesion], scene: Scene, viewer: bool = True) -> str:
    """Return the HTML of the page.

    Args:
        record: what :class:`CaseWriter` writes to the JSON of the case.
        lesions: in the order of the table; the first 40 are pictured.
        scene: what the pictures are drawn from.
        viewer: add :func:`viewer_section`.
    """
    sections = (
        warnings_section(record),
        table_section(lesions),
        viewer_section(scene, lesions) if viewer else "",
        _slabs(scene, lesions),
        _lesions(scene, lesions),
        masks_section(scene),
        details_section(
            record, {"threshold": record["threshold"], "contrast": record["contrast"], **record["settings"]}
        ),
        limits_section(LIMITS),
    )
    return document(record["case"], "Suspected cerebral microbleeds", summary(record), _cards(record), sections)


def document(case: str, kicker: str, summary: str, cards: str, sections: Iterable[str], pictures: bool = True) -> str:
    """Return the HTML of a page from its parts, research use said above and below.

    Args:
        case: name.
        kicker: what the page is about, over the name.
        summary: one line under it.
        cards: HTML of the numbers to see first.
        sections: HTML of all else.
        pictures: there are some, whose outlines can be switched off.
    """
    case, switch = escape(case), SWITCH if pictures else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{case}: {kicker[0].lower()}{kicker[1:]}</title>
<style>{CSS}</style>
</head>
<body>
<div class="research">{RESEARCH_USE}</div>
<header>
<p class="kicker">{kicker}</p>
<h1>{case}</h1>
<p class="summary">{summary}</p>
{cards}
</header>
<main>
{"".join(sections)}
{switch}
</main>
<footer><p>{RESEARCH_USE}</p></footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def summary(record: Mapping[str, Any]) -> str:
    """Return a line such as ``2 suspected microbleeds of 17 candidates, at threshold 0.5; pattern: strictly lobar``."""
    said = record["burden"]
    total, large, candidates = record["counts"]["total"], record["counts"]["large"], record["candidates"]
    return (
        f"{total or 'No'} suspected microbleed{'' if total == 1 else 's'} of {candidates} "
        f"candidate{'' if candidates == 1 else 's'}, at threshold {record['threshold']:g}; "
        f"{f'{large} larger than {LARGEST_MM:g} mm, not counted; ' if large else ''}"
        f"pattern: {said['pattern']}; count range {escape(said['count_range'])}, on ARIA-H scales "
        f"{escape(said['aria_h_range'])}"
    )


def _cards(record: Mapping[str, Any]) -> str:
    counts, quality = record["counts"], record["quality"]
    regions = [(counts[UNKNOWN], "without a region")] if counts[UNKNOWN] else [(counts[name], name) for name in REGIONS]
    cards = [(counts["total"], "suspected"), *regions]
    if counts["large"]:
        cards.append((counts["large"], f"larger than {LARGEST_MM:g} mm"))
    if quality["mask_volume_ml"] is not None:
        cards.append((f"{quality['mask_volume_ml']:.0f} ml", "brain mask"))
    return cards_of(cards)


def cards_of(cards: Iterable[tuple[Any, str]]) -> str:
    """Return the HTML of values and their names."""
    boxes = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in cards)
    return f'<div class="cards">{boxes}</div>'


def warnings_section(record: Mapping[str, Any]) -> str:
    """Return the section of what to check, nothing where there is no warning."""
    if not record["warnings"]:
        return ""
    return f'<section class="warnings"><h2>Check before use</h2><ul>{_items(record["warnings"])}</ul></section>'


def _slabs(scene: Scene, lesions: Sequence[Lesion]) -> str:
    kind = "Maximum" if scene.contrast == "bright" else "Minimum"
    return (
        f'<section><h2>Overview</h2><p class="hint">{kind} intensity over slabs of about 10 mm inside the brain mask, '
        "from bottom to top; a circle and the id mark each of them. Radiological convention: R, the patient's "
        f'right, is on the left.</p><div class="film slabs">{figures_of(slab_pictures(scene, lesions))}</div></section>'
    )


def _lesions(scene: Scene, lesions: Sequence[Lesion]) -> str:
    if not lesions:
        return ""
    shown = lesions[:MAX_PICTURED]
    which = f"the first {len(shown)} of {len(lesions)}" if len(shown) < len(lesions) else "each"
    cards = "".join(
        f'<div class="lesion-card" id="lesion-{lesion.id}"><div class="film">'
        f"{figures_of(lesion_pictures(scene, lesion))}</div><p><b>{lesion.id}</b> · {_place(lesion)} · "
        f"{size_of(lesion)} · probability {lesion.probability:.2f} <span>x {lesion.x_mm:.1f}, "
        f"y {lesion.y_mm:.1f}, z {lesion.z_mm:.1f} mm</span></p></div>"
        for lesion in shown
    )
    return (
        f'<section><h2>In three planes</h2><p class="hint">30 mm around {which}, in the planes of the scan. '
        "Voxels are shown as acquired, interpolated by the browser. R and L are the patient's right and left, A and P "
        f'front and back.</p><div class="lesions">{cards}</div></section>'
    )


def _place(lesion: Lesion) -> str:
    return "region unknown" if lesion.region == UNKNOWN else f"{lesion.region} ({lesion.mars}), {lesion.side}"


def masks_section(scene: Scene) -> str:
    """Return the section that shows the brain mask."""
    return (
        '<section><h2>Brain mask</h2><p class="hint">Outline of the brain mask, with what was found. Nothing outside '
        "the mask is searched: a mask that cuts the brain hides microbleeds, one that takes in skull or vessels adds "
        f'false ones.</p><div class="film slices">{figures_of(mask_pictures(scene))}</div></section>'
    )


def figures_of(pictures: Iterable[Picture]) -> str:
    """Return the HTML of pictures."""
    return "".join(f"<figure>{one.svg}<figcaption>{one.caption}</figcaption></figure>" for one in pictures)


def details_section(record: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return the section of how the result was made."""
    groups = {
        "Scan": record["input"],
        "Settings": settings,
        "Regions": {name: value for name, value in (record["regions"] | record["mars"]).items() if value},
        "Versions": record["versions"],
    }
    lists = "".join(
        f"<div><h3>{title}</h3><dl>"
        + "".join(f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{_value(value)}</dd>" for name, value in group.items())
        + "</dl></div>"
        for title, group in groups.items()
    )
    notes = f"<h3>Notes</h3><ul>{_items(record['notes'])}</ul>" if record["notes"] else ""
    return f'<section><h2>How it was made</h2><div class="details">{lists}</div>{notes}</section>'


def limits_section(limits: Iterable[str]) -> str:
    """Return the section of what a reader must bear in mind."""
    return f'<section class="limits"><h2>Limits</h2><ul>{_items(limits)}</ul></section>'


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{escape(str(name))} {_value(one)}" for name, one in value.items())
    return escape(str(value))


def _items(sentences: Iterable[str]) -> str:
    return "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
