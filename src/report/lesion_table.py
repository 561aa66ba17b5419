"""Table of the lesions of an instance map: where each one lies, how large and how probable it is."""

import csv
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan, nan

import numpy as np
import torch
from monai.utils import convert_to_tensor

from ..checks import check_same_shape
from ..files import atomic_path
from ..regions import REGIONS, mni_regions, region_at
from ..transforms import Susceptibility
from ..transforms.lesion_filter import lesion_shapes

COLUMNS: dict[str, str] = {
    "id": "value of the lesion in the instance map",
    "x_mm": "centroid in the scan's world, mm, grows to the right (RAS+)",
    "y_mm": "centroid, mm, grows to the front",
    "z_mm": "centroid, mm, grows to the top",
    "i": "voxel of the centroid along the first axis of the scan as stored, from 0",
    "j": "voxel along the second axis",
    "k": "voxel along the third axis",
    "volume_mm3": "volume of the voxels, mm3",
    "diameter_mm": "diameter of the sphere of that volume, mm",
    "probability": "that it is a microbleed, calibrated on simulated scans",
    "region": "lobar, deep or infratentorial, approximate (bounding-box alignment with MNI152); n/a: not a whole brain",
    "side": "left, right or midline, approximate; n/a: not a whole brain",
    "detector_probability": "highest probability of a voxel in the first step, where candidates are found",
    "ellipticity": "1 - shortest / longest axis: 0 for a ball, towards 1 for a thread or a plate",
    "edge_mm": "distance of the centroid from the edge of the brain mask, mm; n/a: no mask",
    "susceptibility": "paramagnetic (as blood), diamagnetic (as calcification) or unclear; n/a: neither phase nor QSM",
    "susceptibility_contrast": "of the lesion with what lies around it, in spreads of the brain; < 0: diamagnetic",
}
"""Columns of the table, in order, and what they hold."""

KEPT = {"kept": "1: in the instance map and the table of lesions; 0: not, by probability, susceptibility or clean-up"}
"""Last column of the table of candidates."""

UNKNOWN = "n/a"
EXTENT_PERCENTILES = (0.5, 99.5)
EXTENT_RATIOS = (0.75, 1.25)  # of a brain's extents to those of MNI152; a crop, a slab or a bad mask lies outside


@dataclass(frozen=True)
class Lesion:
    """One row of the table; :data:`COLUMNS` says what the attributes hold."""

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
    detector_probability: float = nan
    ellipticity: float = nan
    edge_mm: float = nan
    susceptibility: str = UNKNOWN
    susceptibility_contrast: float = nan


def lesion_table(
    instances: torch.Tensor,
    probability: torch.Tensor,
    affine: torch.Tensor | np.ndarray,
    brain_mask: torch.Tensor | None = None,
    detector_probability: torch.Tensor | None = None,
    susceptibility: Susceptibility | None = None,
) -> list[Lesion]:
    """Return the lesions of an instance map in the order of their ids.

    Args:
        instances: (1, H, W, D) whole numbers, 0 outside lesions.
        probability: (1, H, W, D).
        affine: (4, 4), voxel to RAS+ mm.
        brain_mask: (1, H, W, D), non-zero in the brain. Without it no region and no distance to the edge is given.
        detector_probability: (1, H, W, D) of the first step, weights the centroids. Defaults to ``probability``.
        susceptibility: of the lesions, where phase or QSM is known.

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
    points_mm = to_world(centres, affine)
    shapes = lesion_shapes(instances, affine, brain_mask)
    columns = (
        ids,
        *points_mm.T,
        *centres.round().long().T,
        shapes.volume_mm3,
        (6 * shapes.volume_mm3 / torch.pi) ** (1 / 3),
        highest,
    )
    places = _places(points_mm, brain_mask, affine)
    shape = (detected_highest, shapes.ellipticity, shapes.edge_mm)
    rows = zip(*(part.tolist() for part in columns), *places, *(part.tolist() for part in shape), strict=True)
    lesions = [Lesion(*row) for row in rows]
    if susceptibility is None:
        return lesions
    sign, contrast = susceptibility.sign, susceptibility.contrast
    return [replace(one, susceptibility=sign[one.id], susceptibility_contrast=contrast[one.id]) for one in lesions]


def to_world(points: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Map voxel indices (N, 3) to mm by an affine (4, 4)."""
    return points.double() @ affine[:3, :3].T + affine[:3, 3]


def approximate_mni(points_mm: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor) -> torch.Tensor | None:
    """Map points to MNI152 by scaling the bounding box of the brain, along the world's axes, to that of the template.

    The box spans the percentiles :data:`EXTENT_PERCENTILES` of the mask's voxels, so that a stray voxel does not count.

    Args:
        points_mm: (N, 3) RAS mm in the scan's world.
        mask: (1, H, W, D), non-zero in the brain.
        affine: (4, 4) of the mask.

    Returns:
        (N, 3) MNI mm, or ``None`` when the extents of the mask are not those of a whole brain.
    """
    template, template_affine = mni_regions()
    low, high = _extent(convert_to_tensor(mask, track_meta=False)[0].cpu(), affine)
    mni_low, mni_high = _extent(template, template_affine)
    ratio = (high - low) / (mni_high - mni_low)
    if not ((ratio > EXTENT_RATIOS[0]) & (ratio < EXTENT_RATIOS[1])).all():
        return None
    return (points_mm - low) / ratio + mni_low


def _extent(mask: torch.Tensor, affine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lower and upper corner, (3,) mm each, of a mask (H, W, D); NaN when it is empty."""
    points_mm = to_world((mask > 0).nonzero(), affine)
    if not len(points_mm):
        return torch.full((3,), torch.nan), torch.full((3,), torch.nan)
    # NumPy, because torch.quantile refuses more than 16 million values.
    low, high = np.percentile(points_mm.numpy(), EXTENT_PERCENTILES, axis=0)
    return torch.from_numpy(low), torch.from_numpy(high)


def _places(points_mm: torch.Tensor, mask: torch.Tensor | None, affine: torch.Tensor) -> tuple[list[str], list[str]]:
    """Return the regions and the sides of N points (N, 3) in mm."""
    points_mni = None if mask is None else approximate_mni(points_mm, mask, affine)
    if points_mni is None:
        return [UNKNOWN] * len(points_mm), [UNKNOWN] * len(points_mm)
    places = region_at(points_mni)
    return [region for region, _ in places], [side for _, side in places]


def count_lesions(lesions: Sequence[Lesion]) -> dict[str, int]:
    """Return ``total`` and the number of lesions in each region, ``n/a`` included."""
    found = Counter(lesion.region for lesion in lesions)
    return {"total": len(lesions), **{region: found[region] for region in (*REGIONS, UNKNOWN)}}


def write_lesions(lesions: Sequence[Lesion], path: str | os.PathLike[str]) -> None:
    """Write a tab-separated table with the header :data:`COLUMNS`, lengths to 0.01 mm."""
    _write([asdict(lesion) for lesion in lesions], [*COLUMNS], path)


def write_candidates(candidates: Sequence[Lesion], kept: Collection[int], path: str | os.PathLike[str]) -> None:
    """Write the same table of all candidates, and :data:`KEPT`: whether the id of each is in ``kept``."""
    rows = [asdict(candidate) | {"kept": int(candidate.id in kept)} for candidate in candidates]
    _write(rows, [*COLUMNS, *KEPT], path)


def _write(rows: Sequence[Mapping[str, float | str]], columns: Sequence[str], path: str | os.PathLike[str]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: _text(name, value) for name, value in row.items()})


def _text(name: str, value: float | str) -> str:
    if isinstance(value, float):
        if isnan(value):
            return UNKNOWN
        return f"{value:.4f}" if "probability" in name else f"{value:.2f}"
    return str(value)
