"""One self-contained page about one scan: lesions, pictures, brain mask, settings and limits."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..anatomy.regions import REGIONS
from ..io.files import write_text
from ..lesions.table import LESION_COLUMNS, Lesion
from .environment import render
from .overlays import lesion_pictures, mask_pictures, slab_pictures
from .page_table import CLASSES, ORDER, TITLES, cell_text
from .scene import Scene
from .viewer import viewer_section

MAX_PICTURED = 40


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
    settings = {"threshold": record["threshold"], "contrast": record["contrast"], **record["settings"]}
    return render(
        "scan.html",
        **case_context(record, scene, settings),
        regions=REGIONS,
        lesions=lesions,
        columns=[(name, TITLES.get(name, name), LESION_COLUMNS[name], CLASSES.get(name)) for name in ORDER],
        cell_text=cell_text,
        viewer=viewer_section(scene, lesions) if viewer else "",
        projection="Maximum" if scene.contrast == "bright" else "Minimum",
        slabs=slab_pictures(scene, lesions),
        pictured=[(lesion, lesion_pictures(scene, lesion)) for lesion in lesions[:MAX_PICTURED]],
    )


def case_context(record: Mapping[str, Any], scene: Scene, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of ``case.html``, from which the pages of a scan and of its subtype are made."""
    regions = {name: value for name, value in (record["regions"] | record["mars"]).items() if value}
    return {
        "name": record["case"],
        "record": record,
        "masks": mask_pictures(scene),
        "details": {"Scan": record["input"], "Settings": settings, "Regions": regions, "Versions": record["versions"]},
    }
