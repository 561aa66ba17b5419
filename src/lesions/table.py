"""Table of the lesions of an instance map: where each one lies, how large and how probable it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan, nan
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor

from ..anatomy.affine import apply_affine
from ..anatomy.mars import MARS, mars_at
from ..anatomy.regions import REGIONS, region_at
from ..checks import check_same_shape
from .burden import UNKNOWN
from .outlines import LARGEST_MM, Outlines
from .properties import lesion_shapes
from .susceptibility import Susceptibility

LESION_COLUMNS: dict[str, str] = {
    "id": "value of the lesion in the instance map",
    "x_mm": "centroid in scanner coordinates (RAS+), mm, increases to the right",
    "y_mm": "centroid, mm, increases to anterior",
    "z_mm": "centroid, mm, increases to superior",
    "i": "voxel index of the centroid along the first axis of the scan as stored, from 0",
    "j": "voxel index along the second axis",
    "k": "voxel index along the third axis",
    "volume_mm3": "volume, mm3: subvoxel area at half contrast in each slice, times the slice spacing",
    "diameter_mm": "equivalent diameter: of the sphere of that volume, mm",
    "longest_mm": "longest diameter in a slice, mm",
    "slices": "number of slices that show the lesion",
    "large": f"1: longer than {LARGEST_MM:g} mm, by definition not a microbleed (macrobleed, cavernoma?), not counted",
    "contrast_percent": "intensity of the core below the local background, %; n/a: hyperintense lesions (QSM)",
    "difference": "difference of core and local background, positive, in the unit of the image",
    "cnr": "contrast to noise: that difference over the local robust spread",
    "probability": "probability of a microbleed, calibrated on planted and simulated ones",
    "region": "lobar, deep or infratentorial, approximate (registration to MNI152); n/a: not a whole brain",
    "side": "left, right or midline, approximate; n/a: not a whole brain",
    "mars": "region of the Microbleed Anatomical Rating Scale, approximate; n/a: not a whole brain",
    "detector_probability": "score of the first step: how hypointense and round the focus is, 0.01 to 1; with the "
    "overlay paper, the highest probability of a voxel",
    "ellipticity": "1 - shortest / longest axis: 0 for a sphere, towards 1 for a line or a plate",
    "edge_mm": "distance of the centroid to the edge of the brain mask, mm; n/a: no mask",
    "susceptibility": "paramagnetic (like blood), diamagnetic (like calcification) or unclear; n/a: no phase, no QSM",
    "susceptibility_contrast": "difference of lesion and surroundings, over the robust spread of the brain; < 0: "
    "diamagnetic",
}
"""Columns of the table, in order, and their content."""

OF_VOXELS = {
    "volume_mm3": "volume of the voxels, mm3",
    **dict.fromkeys(("longest_mm", "slices", "large", "contrast_percent", "difference", "cnr"), "n/a: not outlined"),
}
"""What columns hold where lesions were not outlined."""

KEPT = {"kept": "1: in the instance map and the table of lesions; 0: not, by probability, susceptibility or clean-up"}
"""Last column of the table of candidates."""


@dataclass(frozen=True)
class Lesion:
    """One row of the table; :data:`LESION_COLUMNS` says what the attributes hold."""

    id: int
    x_mm: float
    y_mm: float
    z_mm: float
    i: int
    j: int
    k: int
    volume_mm3: float
    diameter_mm: float
    probability: float
    region: str = UNKNOWN
    side: str = UNKNOWN
    mars: str = UNKNOWN
    detector_probability: float = nan
    ellipticity: float = nan
    edge_mm: float = nan
    susceptibility: str = UNKNOWN
    susceptibility_contrast: float = nan
    longest_mm: float = nan
    slices: int | str = UNKNOWN
    large: int | str = UNKNOWN
    contrast_percent: float = nan
    difference: float = nan
    cnr: float = nan


def lesion_table(
    instances: torch.Tensor,
    probability: torch.Tensor,
    affine: torch.Tensor | np.ndarray,
    brain_mask: torch.Tensor | None = None,
    detector_probability: torch.Tensor | None = None,
    to_mni: torch.Tensor | None = None,
    susceptibility: Susceptibility | None = None,
    outlines: Outlines | None = None,
) -> list[Lesion]:
    """Return the lesions of an instance map in the order of their ids.

    Args:
        instances: (1, H, W, D) whole numbers, 0 outside lesions.
        probability: (1, H, W, D).
        affine: (4, 4), voxel to RAS+ mm.
        brain_mask: (1, H, W, D), non-zero in the brain. Without it no distance to the edge is given.
        detector_probability: (1, H, W, D) of the first step, weights the centroids. Defaults to ``probability``.
        to_mni: (4, 4), RAS mm of the scan to those of MNI152, see :func:`csvd.anatomy.registration.align_to_mni`.
            Without it no region is given.
        susceptibility: of the lesions, where phase or QSM is known.
        outlines: of the lesions. Without them the volume is that of the voxels, see :data:`OF_VOXELS`.

    Raises:
        ValueError: the spatial shapes differ.
    """
    check_same_shape(instances, probability, "tabulate")
    detected = probability if detector_probability is None else detector_probability
    labels = convert_to_tensor(instances, track_meta=False)[0].cpu()
    affine = torch.as_tensor(affine, dtype=torch.float64).cpu()
    index = labels.nonzero()  # (V, 3)
    ids, lesion = labels[tuple(index.T)].unique(return_inverse=True)
    values, steps = (
        convert_to_tensor(part, track_meta=False)[0].cpu()[tuple(index.T)].double() for part in (probability, detected)
    )
    highest, detected_highest = (
        torch.zeros(len(ids), dtype=torch.float64).scatter_reduce(0, lesion, part, "amax") for part in (values, steps)
    )
    weights = steps.clamp(min=1e-6)[:, None]  # a lesion drawn by hand may have probability 0
    total = torch.zeros(len(ids), 1, dtype=torch.float64).index_add(0, lesion, weights)
    centres = torch.zeros(len(ids), 3, dtype=torch.float64).index_add(0, lesion, index * weights) / total
    points_mm = apply_affine(affine, centres)
    shapes = lesion_shapes(instances, affine, brain_mask)
    columns = (
        ids,
        *points_mm.T,
        *centres.round().long().T,
        shapes.volume_mm3,
        (6 * shapes.volume_mm3 / torch.pi) ** (1 / 3),
        highest,
    )
    locations = _locations(points_mm, to_mni)
    shape = (detected_highest, shapes.ellipticity, shapes.edge_mm)
    rows = zip(*(part.tolist() for part in columns), *locations, *(part.tolist() for part in shape), strict=True)
    lesions = [Lesion(*row) for row in rows]
    if outlines is not None:
        sizes = _sizes(outlines)
        lesions = [replace(one, **sizes[one.id]) for one in lesions]
    if susceptibility is None:
        return lesions
    sign, contrast = susceptibility.sign, susceptibility.contrast
    return [replace(one, susceptibility=sign[one.id], susceptibility_contrast=contrast[one.id]) for one in lesions]


def _sizes(outlines: Outlines) -> dict[int, dict[str, Any]]:
    """Return what is measured of each lesion, by its number."""
    names = ("volume_mm3", "diameter_mm", "longest_mm", "slices", "contrast_percent", "difference", "cnr")
    columns = {name: getattr(outlines, name).tolist() for name in names} | {"large": outlines.large.int().tolist()}
    rows = zip(*columns.values(), strict=True)
    return {
        number: dict(zip(columns, row, strict=True)) for number, row in zip(outlines.ids.tolist(), rows, strict=True)
    }


def _locations(points_mm: torch.Tensor, to_mni: torch.Tensor | None) -> tuple[list[str], list[str], list[str]]:
    """Return the regions, sides and regions of the rating scale of N points (N, 3) in mm."""
    if to_mni is None:
        unknown = [UNKNOWN] * len(points_mm)
        return unknown, unknown, unknown
    points_mni = apply_affine(to_mni, points_mm)
    locations = region_at(points_mni)
    return [region for region, _ in locations], [side for _, side in locations], mars_at(points_mni)


def count_lesions(lesions: Sequence[Lesion]) -> dict[str, int]:
    """Return ``total`` and the number of lesions in each region, ``n/a`` included; these leave out ``large`` ones."""
    counted = [lesion for lesion in lesions if lesion.large != 1]
    found = Counter(lesion.region for lesion in counted)
    regions = {region: found[region] for region in (*REGIONS, UNKNOWN)}
    return {"total": len(counted), **regions, "large": len(lesions) - len(counted)}


def count_mars(lesions: Sequence[Lesion]) -> dict[str, int]:
    """Return the number of lesions in each region of :data:`csvd.anatomy.mars.MARS`, and of those without one, ``n/a``.

    Large ones are not counted.
    """
    found = Counter(lesion.mars for lesion in lesions if lesion.large != 1)
    return {name: found[name] for name in (*MARS, UNKNOWN)}


def size_of(lesion: Lesion) -> str:
    """Return the diameter in words, and of a large lesion what that says."""
    size = f"{lesion.diameter_mm:.1f} mm"
    return f"{size}, larger than {LARGEST_MM:g} mm: not a microbleed by definition" if lesion.large == 1 else size


def as_text(lesion: Lesion) -> dict[str, str]:
    """Return a row as text: lengths to 0.01 mm, probabilities to 0.0001, ``n/a`` for NaN."""
    return {name: _text(name, value) for name, value in asdict(lesion).items()}


def _text(name: str, value: float | str) -> str:
    if isinstance(value, float):
        if isnan(value):
            return UNKNOWN
        if name == "difference":
            return f"{value:.4g}"  # QSM in ppm is small, magnitudes are large
        return f"{value:.4f}" if "probability" in name else f"{value:.2f}"
    return str(value)
