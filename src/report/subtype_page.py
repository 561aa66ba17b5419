"""One self-contained page about the subtype of one scan: probabilities, attention, Grad-CAM++."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .environment import render
from .overlays import Picture, around
from .page import case_context
from .plane import Plane
from .scene import Scene

PICTURED = 8
WIDTH = 800  # of the attention curve


def subtype_page(record: Mapping[str, Any], scene: Scene, attention: np.ndarray, heat: np.ndarray) -> str:
    """Return the HTML of the page.

    Args:
        record: what :class:`SubtypeWriter` writes to the JSON of the case.
        scene: what the pictures are drawn from.
        attention: of each axial slice of the scene, (Z,).
        heat: Grad-CAM++, (X, Y, Z), 0 to 1.
    """
    most = np.sort(np.argsort(attention, kind="stable")[::-1][:PICTURED]).tolist()
    return render(
        "subtype.html",
        **case_context(record, scene, {"contrast": record["contrast"], **record["settings"]}),
        width=WIDTH,
        curve=_curve(attention),
        ends_mm=[scene.slice_mm(index) for index in (0, len(attention) - 1)],
        slices=[*_pictures(scene, attention, heat, most)],
    )


def _curve(attention: np.ndarray) -> list[tuple[float, float]]:
    """Return the points of the attention curve, bottom first."""
    across = np.linspace(2, WIDTH - 2, len(attention))
    return [*zip(across.tolist(), (96 - 90 * attention / (attention.max() or 1)).tolist(), strict=True)]


def _pictures(scene: Scene, attention: np.ndarray, heat: np.ndarray, indices: Sequence[int]) -> Iterator[Picture]:
    plane = Plane(scene, "axial")
    view = around(plane, scene.brain)
    for index in indices:
        warm = plane.layer(_red(plane.cut(heat, index)), view, "overlay heat")
        outline = plane.outline(plane.cut(scene.instances, index) > 0, view, "lesion")
        caption = f"z = {scene.slice_mm(index):.0f} mm, weight {attention[index]:.2f}"
        yield Picture(plane.draw(plane.cut(scene.grey, index), view, (warm, outline)), caption)


def _red(heat: np.ndarray) -> np.ndarray:
    """Return (U, V) in 0..1 as red of that opacity, (U, V, 4) uint8."""
    pixels = np.zeros((*heat.shape, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[..., 3] = (160 * heat.clip(0, 1)).astype(np.uint8)
    return pixels
