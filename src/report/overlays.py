"""Pictures for the page: each lesion in three planes, projections of slabs, slices with the brain mask.

Radiological convention: the patient's right is on the left of the picture and, on sagittal pictures, the front is.
The planes are those of the scan's own grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..lesions.table import Lesion
from .plane import Box, Plane
from .scene import Scene

SLAB_MM = 10.0
CROP_MM = 30.0
MARGIN_MM = 5.0


@dataclass(frozen=True)
class Picture:
    """An SVG element and the words under it."""

    svg: Markup
    caption: str


def lesion_pictures(scene: Scene, lesion: Lesion) -> Iterator[Picture]:
    """Yield the axial, coronal and sagittal plane through a lesion, 30 mm wide, with ticks that point at it."""
    centre = scene.voxel_of((lesion.x_mm, lesion.y_mm, lesion.z_mm))
    for name in ("axial", "coronal", "sagittal"):
        plane = Plane(scene, name)
        x, y = plane.page(centre[plane.axes])
        view = Box(x - CROP_MM / 2, y - CROP_MM / 2, CROP_MM, CROP_MM)
        index = int(centre[plane.axis].round().clip(0, scene.grey.shape[plane.axis] - 1))
        outline = plane.outline(plane.cut(scene.instances, index) == lesion.id, view, "lesion")
        outer = CROP_MM / 2 - 2
        inner = min(lesion.diameter_mm / 2 + 2, outer)
        ticks = "".join(
            f"M{x + a * inner:.1f},{y + b * inner:.1f}L{x + a * outer:.1f},{y + b * outer:.1f}"
            for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))
        )
        pixels = plane.cut(scene.grey, index)
        yield Picture(plane.draw(pixels, view, (Markup(f'<path class="ticks" d="{ticks}"/>'), outline)), name)


def slab_pictures(scene: Scene, lesions: Sequence[Lesion]) -> Iterator[Picture]:
    """Yield projections of the brain over axial slabs of about 10 mm, top last, with a circle around each lesion.

    The projection is the minimum where lesions are dark, the maximum where they are bright.
    """
    plane = Plane(scene, "axial")
    view = around(plane, scene.brain)
    slices = np.flatnonzero(scene.brain.any(axis=(0, 1)))
    first, last = int(slices[0]), int(slices[-1])
    thick = max(1, round(SLAB_MM / scene.voxel_mm[2]))
    centres = [scene.voxel_of((lesion.x_mm, lesion.y_mm, lesion.z_mm)) for lesion in lesions]
    for start in range(first, last + 1, thick):
        stop = min(start + thick, last + 1)
        pixels = _project(scene.grey[..., start:stop], scene.brain[..., start:stop], scene.contrast)
        inside = [start - 0.5 <= centre[2] < stop - 0.5 for centre in centres]
        circles = [
            _circle(lesion, plane.page(centre[:2]), letter=0.045 * view.width)
            for lesion, centre, here in zip(lesions, centres, inside, strict=True)
            if here
        ]
        yield Picture(plane.draw(pixels, view, circles), f"z = {scene.slice_mm((start + stop - 1) / 2):.0f} mm")


def mask_pictures(scene: Scene, axial: int = 12, coronal: int = 3, sagittal: int = 3) -> Iterator[Picture]:
    """Yield slices through the brain, evenly spaced, with the outlines of the brain mask and of the lesions."""
    for name, count in (("axial", axial), ("coronal", coronal), ("sagittal", sagittal)):
        plane = Plane(scene, name)
        view = plane.box(np.zeros(2), plane.size)
        inside = np.flatnonzero(scene.brain.any(axis=tuple(plane.axes)))
        steps = inside[0] + (inside[-1] - inside[0]) * (np.arange(count) + 0.5) / count
        for index in np.unique(steps.round().astype(int)):
            outlines = (
                plane.outline(plane.cut(scene.brain, index), view, "brain"),
                plane.outline(plane.cut(scene.instances, index) > 0, view, "lesion"),
            )
            yield Picture(plane.draw(plane.cut(scene.grey, index), view, outlines), name)


def around(plane: Plane, mask: np.ndarray) -> Box:
    """Return the rectangle around a mask with a margin."""
    where = np.argwhere(mask.any(axis=plane.axis))
    box = plane.box(where.min(axis=0), where.max(axis=0) + 1)
    return Box(box.x - MARGIN_MM, box.y - MARGIN_MM, box.width + 2 * MARGIN_MM, box.height + 2 * MARGIN_MM)


def _project(grey: np.ndarray, brain: np.ndarray, contrast: str) -> np.ndarray:
    """Project (X, Y, Z) along the last axis, brain voxels only; 0 where there are none."""
    if contrast == "bright":
        return np.where(brain, grey, 0).max(axis=2)
    return np.where(brain, grey, 255).min(axis=2) * brain.any(axis=2)


def _circle(lesion: Lesion, centre: np.ndarray, letter: float) -> Markup:
    x, y = centre
    radius = lesion.diameter_mm / 2 + 2.5
    words = f"{lesion.id}: {lesion.region}, {lesion.diameter_mm:.1f} mm, probability {lesion.probability:.2f}"
    return Markup(
        '<a class="overlay" href="#row-{id}"><title>{words}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
        '<text x="{text_x:.1f}" y="{text_y:.1f}" font-size="{letter:.1f}">{id}</text></a>'
    ).format(
        id=lesion.id, words=words, x=x, y=y, radius=radius, text_x=x + radius, text_y=y - radius + 1, letter=letter
    )
