"""A plane of a scene as SVG in millimetres: grey voxels as PNG, outlines and letters as vectors over them.

The browser scales the voxels, so that a picture has the right proportions at every voxel size, and outlines stay sharp
and can be hidden.
"""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image
from skimage.measure import find_contours

from .scene import Scene

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
LETTERS = {"sagittal": ("A", "P"), "coronal": ("R", "L"), "axial": ("R", "L")}  # what lies on the left and on the right
MAX_PIXELS = 320  # along an axis; finer pictures are reduced, so that the page stays small


@dataclass(frozen=True)
class Box:
    """A rectangle in mm of a page: corner and size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def text(self) -> str:
        """The value of ``viewBox``."""
        return f"{self.x:.2f} {self.y:.2f} {self.width:.2f} {self.height:.2f}"


class Plane:
    """A plane of a scene, whose page coordinates are mm from the upper left corner.

    Args:
        scene: what is drawn.
        name: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    """

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.axis = AXES[name]
        self.left, self.right = LETTERS[name]
        self.axes = [axis for axis in range(3) if axis != self.axis]
        self.voxel_mm = scene.voxel_mm[self.axes]
        self.size = np.array(scene.grey.shape)[self.axes]

    def page(self, points: np.ndarray) -> np.ndarray:
        """Map in-plane voxels (N, 2) to mm; both axes are flipped."""
        return (self.size - 0.5 - points) * self.voxel_mm

    def box(self, low: np.ndarray, high: np.ndarray) -> Box:
        """Return the rectangle of the in-plane voxels from ``low`` to below ``high``."""
        x, y = (self.size - high) * self.voxel_mm
        width, height = (high - low) * self.voxel_mm
        return Box(x, y, width, height)

    def window(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last in-plane voxel, exclusive, that a rectangle touches."""
        high = np.ceil(self.size - np.array([box.x, box.y]) / self.voxel_mm).astype(int)
        low = np.floor(self.size - np.array([box.x + box.width, box.y + box.height]) / self.voxel_mm).astype(int)
        return low.clip(0, self.size), high.clip(0, self.size)

    def cut(self, volume: np.ndarray, index: int) -> np.ndarray:
        """Return slice ``index`` of a volume, (U, V), as a view."""
        return np.moveaxis(volume, self.axis, 0)[index]

    def draw(self, pixels: np.ndarray, view: Box, shapes: Iterable[Markup] = ()) -> Markup:
        """Return the SVG element of ``view``: pixels (U, V) uint8 of the whole plane, shapes over them, letters."""
        letter = 0.075 * min(view.width, view.height)
        middle = view.y + view.height / 2
        return Markup(
            f'<svg viewBox="{view.text}" role="img">{self.layer(pixels, view)}{"".join(shapes)}'
            f'<g class="letter" font-size="{letter:.1f}">'
            f'<text x="{view.x + 0.3 * letter:.1f}" y="{middle:.1f}">{self.left}</text>'
            f'<text x="{view.x + view.width - 0.3 * letter:.1f}" y="{middle:.1f}" text-anchor="end">{self.right}</text>'
            "</g></svg>"
        )

    def layer(self, pixels: np.ndarray, view: Box, kind: str = "") -> Markup:
        """Return the image element, of class ``kind``, of pixels (U, V) or (U, V, 4) uint8 of the whole plane."""
        low, high = self.window(view)
        part, box = pixels[low[0] : high[0], low[1] : high[1]], self.box(low, high)
        name = f' class="{kind}"' if kind else ""
        return Markup(
            f'<image{name} x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" '
            f'preserveAspectRatio="none" href="{_png(part)}"/>'
        )

    def outline(self, mask: np.ndarray, view: Box, kind: str) -> Markup:
        """Return the outline of a mask (U, V) inside ``view``, as a path of class ``kind``."""
        low, high = self.window(view)
        part = np.pad(mask[low[0] : high[0], low[1] : high[1]], 1)
        lines = (self.page(line + low - 1) for line in find_contours(part.astype(np.float32), 0.5))
        path = "".join("M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in line) + "z" for line in lines)
        return Markup(f'<path class="overlay {kind}" d="{path}"/>' if path else "")


def _png(pixels: np.ndarray) -> str:
    """Return (U, V) or (U, V, 4) uint8 as the address of a PNG, first axis to the left and second one up."""
    image = Image.fromarray(np.ascontiguousarray(pixels[::-1, ::-1].swapaxes(0, 1)))
    image.thumbnail((MAX_PIXELS, MAX_PIXELS))  # leaves smaller ones as they are
    file = io.BytesIO()
    image.save(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
