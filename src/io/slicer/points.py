"""Lesions as points that 3D Slicer opens, shows and lets people correct."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from ...lesions.table import UNKNOWN, Lesion, size_of
from ..files import atomic_path

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
YELLOW = [1.0, 0.7, 0.1]


def write_markups(lesions: Sequence[Lesion], path: str | os.PathLike[str]) -> None:
    """Write a list of points of 3D Slicer's Markups module [1]_, one at the centroid of each lesion, in LPS mm.

    A point is labelled with the lesion's id, as in the table, and described by place, diameter and probability. Crosses
    mark them, because balls would hide what is under them. Points that are added get labels such as ``new-4``. The
    list is named after the case, ``<case>_lesions.mrk.json``, to tell several in one scene apart.

    References:
        .. [1] Slicer, Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json.
    """
    markup = {
        "type": "Fiducial",
        "name": f"{Path(path).name.removesuffix('_lesions.mrk.json')}: suspected microbleeds, research use only",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "new-%d",
        "lastUsedControlPointNumber": max((lesion.id for lesion in lesions), default=0),
        "controlPoints": [_point(lesion) for lesion in lesions],
        "display": {
            "visibility": True,
            "color": YELLOW,
            "selectedColor": YELLOW,
            "pointLabelsVisibility": True,
            "propertiesLabelVisibility": False,
            "glyphType": "Cross2D",
            "glyphScale": 2.0,
            "useGlyphScale": True,
        },
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"@schema": SCHEMA, "markups": [markup]}, indent=2) + "\n", encoding="utf-8")


def _point(lesion: Lesion) -> dict[str, object]:
    location = "region unknown" if lesion.region == UNKNOWN else f"{lesion.region}, {lesion.side}"
    return {
        "id": f"{lesion.id}",
        "label": f"{lesion.id}",
        "description": f"{location}; diameter {size_of(lesion)}; probability {lesion.probability:.2f}",
        "position": [round(-lesion.x_mm, ndigits=4), round(-lesion.y_mm, ndigits=4), round(lesion.z_mm, ndigits=4)],
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }
