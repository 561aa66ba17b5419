"""One self-contained page about the subtype of one scan: probabilities, attention, Grad-CAM++, slices left out."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .environment import render
from .overlays import Picture, around
from .page import case_context
from .plane import Plane
from .scene import Scene

WIDTH = 800  # of the attention curve


def subtype_page(record: Mapping[str, Any], scene: Scene, heat: np.ndarray) -> str:
    """Return the HTML of the page.

    Args:
        record: what :class:`SubtypeWriter` writes to the JSON of the case.
        scene: what the pictures are drawn from.
        heat: Grad-CAM++, (X, Y, Z), 0 to 1.
    """
    found = record["explanation"]
    return render(
        "subtype.html",
        **case_context(record, scene, {"contrast": record["contrast"], **record["settings"]}),
        width=WIDTH,
        found=found,
        signed=signed,
        curve=_curve(found["attention"]) if found else [],
        slices=[*_pictures(scene, found, heat)] if found else [],
    )


def _curve(attention: list[float]) -> list[tuple[float, float]]:
    """Return the points of the attention curve, bottom first."""
    across = np.linspace(2, WIDTH - 2, len(attention))
    return [*zip(across.tolist(), (96 - 90 * np.array(attention) / (max(attention) or 1)).tolist(), strict=True)]


def _pictures(scene: Scene, found: Mapping[str, Any], heat: np.ndarray) -> Iterator[Picture]:
    """Draw the slices that were left out, bottom first."""
    plane = Plane(scene, "axial")
    view = around(plane, scene.brain)
    for one in sorted(found["slices"], key=lambda one: one["slice"]):
        index = _index(scene, found["middles_mm"], one["slice"])
        warm = plane.layer(_red(plane.cut(heat, index)), view, "overlay heat")
        outline = plane.outline(plane.cut(scene.instances, index) > 0, view, "lesion")
        weight = found["attention"][one["slice"]]
        caption = f"z = {round(scene.slice_mm(index))} mm, weight {weight:.2f}, left out: {signed(one['change'])}"
        yield Picture(plane.draw(plane.cut(scene.grey, index), view, (warm, outline)), caption)


def _index(scene: Scene, middles_mm: list[list[float]], number: int) -> int:
    """Return the axial slice of a scene that shows a slice of the classifier: of those in it, that of most lesion.

    A slice of the classifier is the mean of several of the scan. Where none of them has a lesion it is the middle one.
    """
    middles = np.array([scene.voxel_of((x, y, z))[2] for x, y, z in middles_mm])
    away = np.abs(np.arange(scene.grey.shape[2]) - middles[number])
    half = np.ptp(middles) / max(len(middles) - 1, 1) / 2
    inside = [int(index) for index in np.argsort(away, kind="stable") if away[index] <= half]
    return max(inside or [int(away.argmin())], key=lambda index: int((scene.instances[..., index] > 0).sum()))


def signed(change: float | None) -> str:
    """Return a change of a probability, with its sign; "n/a" where it is not known."""
    return "n/a" if change is None else f"{change:+.2f}".replace("-", "\N{MINUS SIGN}")


def _red(heat: np.ndarray) -> np.ndarray:
    """Return (U, V) in 0..1 as red of that opacity, (U, V, 4) uint8."""
    pixels = np.zeros((*heat.shape, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[..., 3] = (160 * heat.clip(0, 1)).astype(np.uint8)
    return pixels
