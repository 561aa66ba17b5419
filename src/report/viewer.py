"""The scan inside the page, to scroll through in three planes: data for ``templates/viewer.js``."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import nibabel as nib
import numpy as np
import torch
from markupsafe import Markup
from PIL import Image
from skimage.measure import block_reduce

from ..lesions.table import Lesion
from .environment import render
from .plane import LETTERS
from .scene import Scene

MARGIN_MM = 10.0
MAX_BYTES = 3_500_000  # of all pictures; a third more in the page
FORMATS = ({"format": "png"}, {"format": "jpeg", "quality": 90}, {"format": "jpeg", "quality": 70})
"""How slices are stored, the first that is small enough."""


def viewer_section(scene: Scene, lesions: Sequence[Lesion]) -> Markup:
    """Return the HTML of the section, with the scan 10 mm around brain and lesions, as grey values of 8 bits.

    Slices are stored without loss where all of them take 3.5 MB at most, else as JPEG, else at twice the voxel size,
    which the section then says. It needs no network and no other package, and stays hidden without JavaScript.
    """
    low, high = _around(scene)
    box = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    slices, step, lossless = _store(scene.grey[box], scene.voxel_mm)
    shape = -(-(high - low) // step)
    to_scene = np.diag([*step, 1.0])  # from the voxels of the viewer
    to_scene[:3, 3] = low + (step - 1) / 2
    labels = block_reduce(scene.instances[box], tuple(step), np.max)
    data = {
        "size": shape.tolist(),
        "voxel": (scene.voxel_mm * step).round(4).tolist(),
        "letters": list(LETTERS.values()),
        "toMm": _rows(scene.affine @ to_scene),
        "toVoxel": _rows(_to_stored(scene) @ to_scene),
        "lesions": _lesions(scene, lesions, np.linalg.inv(to_scene), labels),
        "slices": slices,
    }
    size = " x ".join(f"{one:.2g}" for one in scene.voxel_mm * step)
    voxels = "as acquired" if step.max() == 1 else f"reduced to {size} mm"
    if not lossless:
        voxels += ", compressed as JPEG"
    return Markup(render("viewer.html", data=data, voxels=voxels, planes=[*reversed(LETTERS)]))


def _around(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return the first voxel, and the one after the last, of the box that is shown."""
    inside = scene.brain | (scene.instances > 0)
    low, high = np.array(
        [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] + (0, 1) for axis in range(3)]
    ).T
    margin = np.ceil(MARGIN_MM / scene.voxel_mm).astype(int)
    return np.maximum(low - margin, 0), np.minimum(high + margin, scene.grey.shape)


def _store(grey: np.ndarray, voxel_mm: np.ndarray) -> tuple[list[str], np.ndarray, bool]:
    """Return the axial slices as addresses of pictures, by how much each axis was reduced, and whether without loss."""
    step = np.ones(3, dtype=int)
    while True:
        part = block_reduce(grey, tuple(step), np.mean).astype(np.uint8) if step.max() > 1 else grey
        for how in FORMATS if part.size < 4 * MAX_BYTES else FORMATS[1:]:
            with ThreadPoolExecutor(torch.get_num_threads()) as threads:
                slices = list(threads.map(partial(_picture, how=how), np.moveaxis(part, 2, 0)))
            if sum(map(len, slices)) <= MAX_BYTES:
                kind = how["format"]
                addresses = [f"data:image/{kind};base64,{base64.b64encode(one).decode('ascii')}" for one in slices]
                return addresses, step, kind == "png"
        size = voxel_mm * step
        step = np.where(size < 1.5 * size.min(), 2 * step, step)


def _picture(pixels: np.ndarray, how: dict) -> bytes:
    """Return (X, Y) uint8 as a file, x along its rows."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.T)).save(file, **how)
    return file.getvalue()


def _lesions(scene: Scene, lesions: Sequence[Lesion], from_scene: np.ndarray, labels: np.ndarray) -> list[dict]:
    """Return id, centroid (in voxels of the viewer, in mm and in voxels as stored) and runs of voxels of each lesion.

    A run is a voxel, as an index of the volume whose first axis runs fastest, and how many there are one after the
    other.
    """
    flat = labels.ravel(order="F")
    where = np.flatnonzero(flat)
    found = []
    for lesion in lesions:
        voxels = where[flat[where] == lesion.id]
        first = np.flatnonzero(np.diff(voxels, prepend=-2) != 1)
        runs = np.stack([voxels[first], np.diff(first, append=len(voxels))], axis=1)
        point_mm = (lesion.x_mm, lesion.y_mm, lesion.z_mm)
        at = from_scene @ [*scene.voxel_of(point_mm), 1]
        found.append(
            {
                "id": lesion.id,
                "at": at[:3].round(3).tolist(),
                "mm": [float(f"{one:.1f}") for one in point_mm],
                "voxel": [lesion.i, lesion.j, lesion.k],
                "runs": runs.ravel().tolist(),
            }
        )
    return found


def _to_stored(scene: Scene) -> np.ndarray:
    """Return the affine (4, 4) from voxels of the scene to those of the scan as stored."""
    stored_shape = np.array(scene.grey.shape)[scene.orientation[:, 0].astype(int)]
    return nib.orientations.inv_ornt_aff(scene.orientation, stored_shape)


def _rows(matrix: np.ndarray) -> list[list[float]]:
    return matrix[:3].round(6).tolist()
