"""Points and boxes that people placed in 3D Slicer, from its markups files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...checks import InputError
from ..json_files import read_json

TO_LPS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}
MILLIMETRES = ("mm", ["mm", "UCUM", "millimeter"])
UNTOLD_SYSTEM = "LPS"  # the schema's default


@dataclass(frozen=True)
class Markups:
    """What a file holds, in LPS mm.

    Attributes:
        points: (N, 3) control points of lists of points.
        boxes: (M, 6) centre and size, along the world's axes, of boxes, which enclose those that are turned.
        names: label of each point, then of each box.
    """

    points: np.ndarray
    boxes: np.ndarray
    names: list[str] = field(default_factory=list)

    @property
    def centres(self) -> np.ndarray:
        """Points and centres of boxes, (N + M, 3)."""
        return np.concatenate([self.points, self.boxes[:, :3]])


def read_markups(path: Path) -> Markups:
    """Return the points and boxes of a ``.mrk.json`` file; points that were never placed are left out.

    Raises:
        InputError: the file is not JSON of Slicer's schema, holds something else than points (Fiducial) and boxes
            (ROI), states another coordinate system than LPS or RAS or another unit than mm, or a position that is
            no point.
    """
    content = read_json(path, f"file of markups '{path}'", "save them again in 3D Slicer.")
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not markups or not all(isinstance(markup, dict) for markup in markups):
        raise InputError(
            f"markups '{path}' must have a list under 'markups', with a list of points or a box: save them again in "
            "3D Slicer. A list without points says that there is no microbleed."
        )
    points, boxes = [], []
    names: list[str] = []
    box_names: list[str] = []
    for markup in markups:
        to_lps = _to_lps(markup, path)
        if markup.get("type") == "Fiducial":
            for point in _points(markup, path):
                if point.get("positionStatus", "defined") == "defined":
                    names.append(str(point.get("label") or point.get("id") or len(names) + 1))
                    points.append(to_lps * _numbers(point.get("position"), 3, path, f"position of '{names[-1]}'"))
        elif markup.get("type") == "ROI":
            box_names.append(str(markup.get("name") or f"box {len(box_names) + 1}"))
            boxes.append(_box(markup, to_lps, path, box_names[-1]))
        else:
            raise InputError(
                f"markups '{path}' must hold points (Fiducial) or boxes (ROI), they hold {markup.get('type')!r}: "
                "save that in a file of its own, elsewhere."
            )
    return Markups(np.reshape(points, (-1, 3)), np.reshape(boxes, (-1, 6)), names + box_names)


def _to_lps(markup: dict[str, Any], path: Path) -> np.ndarray:
    system, unit = markup.get("coordinateSystem", UNTOLD_SYSTEM), markup.get("coordinateUnits", "mm")
    if not isinstance(system, str) or system not in TO_LPS:
        raise InputError(
            f"markups '{path}' must have the coordinate system LPS or RAS, they have {system!r}: save them again in "
            "3D Slicer."
        )
    if unit not in MILLIMETRES:
        raise InputError(f"markups '{path}' must be in mm, they are in {unit!r}: save them in mm.")
    return np.array(TO_LPS[system])


def _box(markup: dict[str, Any], to_lps: np.ndarray, path: Path, name: str) -> np.ndarray:
    """Return centre and size (6,) of the box along the axes of the world that encloses a box of Slicer."""
    corners = _points(markup, path) or [{}]
    centre = _numbers(markup.get("center", corners[0].get("position")), 3, path, f"centre of '{name}'")
    size = _numbers(markup.get("size"), 3, path, f"size of '{name}'")
    axes = _numbers(markup.get("orientation", np.eye(3).ravel().tolist()), 9, path, f"orientation of '{name}'")
    return np.concatenate([to_lps * centre, np.abs(axes.reshape(3, 3)) @ np.abs(size)])  # axes are its columns


def _points(markup: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    points = markup.get("controlPoints") or []
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise InputError(
            f"markups '{path}' must have a list of points under 'controlPoints', they have {points!r:.50}: save them "
            "again in 3D Slicer."
        )
    return points


def _numbers(value: Any, count: int, path: Path, what: str) -> np.ndarray:
    whole = isinstance(value, list) and len(value) == count and all(isinstance(one, int | float) for one in value)
    if not whole or not np.isfinite(value).all():
        raise InputError(f"markups '{path}': the {what} must be {count} numbers, it is {value!r}. Correct it.")
    return np.array(value, dtype=np.float64)
