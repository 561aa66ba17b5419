"""Where microbleeds are planted: on tissue, in locations by the shares of patients, apart or in clusters."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..anatomy.affine import apply_affine
from ..anatomy.mars import MARS, mni_mars
from ..anatomy.mni import mni_tissue
from ..anatomy.regions import nearest_voxels
from ..anatomy.registration import align_to_mni

LOCATIONS: dict[str, float] = {
    "white matter": 0.40,
    "cortex": 0.33,
    "cerebellum": 0.08,
    "basal ganglia": 0.08,
    "thalamus": 0.05,
    "brainstem": 0.04,
}
"""Share of microbleeds in each location, of real patients, relative to their sum, which is not 1."""
DEEP = ("internal capsule", "external capsule")
"""Regions of MARS that count as basal ganglia here."""
EDGE_MM = 1.5
"""Distance from the outside of the brain that microbleeds keep."""
TISSUE = (0.35, 1.35)
"""Mean within 2 mm over the median of the brain: neither air nor fluid."""
APART_MM = 6.0
CLUSTER_MM = (3.5, 9.0)


def find_locations(
    image: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the number of the location in :data:`LOCATIONS`, from 1, of each voxel of the brain, (H, W, D) uint8.

    The second result maps RAS mm of the scan to MNI152, (4, 4). A scan that shows no whole brain has none, and is
    "white matter" everywhere.

    Args:
        image: (H, W, D).
        mask: brain, (H, W, D) bool.
        affine: (4, 4) voxel to RAS mm.
    """
    codes = mask.to(torch.uint8)
    matrix = align_to_mni(image[None], mask[None].to(torch.uint8), affine).matrix
    if matrix is None:
        return codes, None
    voxels = mask.nonzero()
    here = nearest_voxels(apply_affine(matrix, apply_affine(affine.double(), voxels)))
    _, grey, white, _ = (torch.from_numpy(np.asarray(part)) for part in mni_tissue())
    names, locations = list(MARS), list(LOCATIONS)
    tissue = torch.where(white[here] >= grey[here], locations.index("white matter"), locations.index("cortex")) + 1
    mars = mni_mars()[here].long()
    for location in locations[2:]:
        regions = (location, *DEEP) if location == "basal ganglia" else (location,)
        for region in regions:
            tissue[mars == names.index(region) + 1] = locations.index(location) + 1
    codes[tuple(voxels.T)] = tissue.to(torch.uint8)
    return codes, matrix


def usable_voxels(image: torch.Tensor, mask: torch.Tensor, spacing_mm: tuple[float, float, float]) -> torch.Tensor:
    """Return where a microbleed may lie, (H, W, D) bool: on tissue, not at the edge of the brain."""
    brain, median = mask.numpy(), float(image[mask].median())
    inside = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1] > EDGE_MM
    sigma = [1.2 / spacing_mm[0], 1.2 / spacing_mm[1], 0]
    smooth = ndimage.gaussian_filter(image.numpy().astype(np.float32), sigma) / median
    good = inside & (smooth > TISSUE[0]) & (smooth < TISSUE[1])
    return torch.from_numpy(good if good.any() else brain)


def draw_sites(
    locations: torch.Tensor,
    usable: torch.Tensor,
    spacing_mm: tuple[float, float, float],
    count: int,
    rng: np.random.Generator,
    clustered: float = 0.2,
) -> list[tuple[np.ndarray, str]]:
    """Return voxel (3,) and location of up to ``count`` microbleeds; some lie in a cluster with the one before.

    Args:
        locations: from :func:`find_locations`.
        usable: from :func:`usable_voxels`.
        spacing_mm: of the voxels.
        count: how many; fewer where there is no room.
        rng: source of all randomness.
        clustered: share that lies 3.5 to 9 mm from the one before.
    """
    candidates = {name: np.argwhere(((locations == code) & usable).numpy()) for code, name in enumerate(LOCATIONS, 1)}
    names = [name for name in LOCATIONS if len(candidates[name])]
    shares = np.array([LOCATIONS[name] for name in names])
    spacing = np.array(spacing_mm)
    found: list[tuple[np.ndarray, str]] = []
    for _ in range(count):
        name = names[rng.choice(len(names), p=shares / shares.sum())]
        sites = candidates[name]
        if found and rng.random() < clustered:
            distance = np.linalg.norm((sites - found[-1][0]) * spacing, axis=1)
            near = sites[(distance > CLUSTER_MM[0]) & (distance < CLUSTER_MM[1])]
            sites, apart = (near, CLUSTER_MM[0]) if len(near) else (sites, APART_MM)
        else:
            apart = APART_MM
        for site in sites[rng.integers(len(sites), size=20)]:
            if all(np.linalg.norm((site - other) * spacing) >= apart for other, _ in found):
                found.append((site, name))
                break
    return found
