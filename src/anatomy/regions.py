"""Where a point of the brain lies: lobar, deep or infratentorial, and on which side, by rules in MNI space."""

from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage

from .mni import mni_coordinates, mni_tissue

REGIONS: dict[str, int] = {"lobar": 1, "deep": 2, "infratentorial": 3}
MIDLINE_MM = 3.0  # points closer than this to the midsagittal plane belong to neither side
PERIVENTRICULAR_MM = 10.0


@lru_cache(maxsize=1)
def mni_regions() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the region codes of :data:`REGIONS` on a 2 mm MNI152 grid, (X, Y, Z) uint8, and its affine (4, 4).

    The map follows the grouping of the Microbleed Anatomical Rating Scale (Gregoire et al. 2009), by these rules:

    - infratentorial: cerebellum behind y = -36 and below the tentorium, taken as the surface
      z = -3 - 0.5 |x| - 0.5 max(0, -62 - y); brainstem below z = -5 with \\|x\\| <= 14 (20 below z = -20)
      and -44 <= y <= -10; everything below z = -46 and behind y = -20, or below
      z = -28 and behind y = -44.
    - deep: a rounded box around basal ganglia, thalamus, internal and external capsule,
      (x/35)^4 + ((y+5)/36)^4 + ((z-8)/19)^4 <= 1, and white matter or ventricle within 10 mm of a lateral
      ventricle, which takes in the corpus callosum.
    - lobar: the rest of the brain. Zero outside it.
    """
    brain, grey, white, affine = mni_tissue()
    x, y, z = mni_coordinates()
    cerebellum = (y <= -36) & (z < -3 - 0.5 * abs(x) - 0.5 * np.maximum(0, -62 - y))
    brainstem = (z < -5) & (abs(x) <= np.where(z < -20, 20, 14)) & (y >= -44) & (y <= -10)
    infratentorial = cerebellum | brainstem | ((z < -46) & (y < -20)) | ((z < -28) & (y < -44))

    box = (abs(x) < 42) & (y > -54) & (y < 38) & (z > -18) & (z < 34)
    parts, _ = ndimage.label(brain & (1 - grey - white > 0.5) & box & ~infratentorial)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    ventricle = parts == sizes.argmax()
    near = ndimage.distance_transform_edt(~ventricle, sampling=2.0) <= PERIVENTRICULAR_MM
    nuclei = (x / 35) ** 4 + ((y + 5) / 36) ** 4 + ((z - 8) / 19) ** 4 <= 1
    deep = nuclei | (near & (white > 0.5)) | ventricle

    codes = np.where(infratentorial, REGIONS["infratentorial"], np.where(deep, REGIONS["deep"], REGIONS["lobar"]))
    return torch.from_numpy((codes * brain).astype(np.uint8)), torch.from_numpy(affine.astype(np.float64))


def region_at(points_mni_mm: torch.Tensor) -> list[tuple[str, str]]:
    """Return the region and the side of each MNI point.

    Args:
        points_mni_mm: (N, 3) RAS mm. A point outside the brain takes the region of the nearest brain voxel.

    Returns:
        N pairs such as ``("deep", "left")``; the side is ``"left"``, ``"right"`` or ``"midline"``.

    Raises:
        ValueError: the points are not (N, 3).
    """
    codes = mni_regions()[0]
    names = {code: name for name, code in REGIONS.items()}
    found = codes[nearest_voxels(points_mni_mm)].tolist()
    return [(names[code], _side(x)) for code, x in zip(found, points_mni_mm[:, 0].tolist(), strict=True)]


def nearest_voxels(points_mni_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the brain voxel of the 2 mm MNI152 grid nearest to each point (N, 3) in mm, as three indices (N,).

    Raises:
        ValueError: the points are not (N, 3).
    """
    points = torch.as_tensor(points_mni_mm, dtype=torch.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"`points_mni_mm` must have shape (N, 3), got {tuple(points.shape)}.")
    brain, _, _, affine = mni_tissue()
    index = ((points - torch.from_numpy(affine[:3, 3])) / torch.from_numpy(affine.diagonal()[:3].copy())).round().long()
    index = index.clamp(min=torch.zeros(3, dtype=torch.long), max=torch.tensor(brain.shape) - 1)
    i, j, k = _nearest()[:, index[:, 0], index[:, 1], index[:, 2]]
    return i, j, k


@lru_cache(maxsize=1)
def _nearest() -> torch.Tensor:
    """Return the index of the nearest brain voxel, (3, X, Y, Z)."""
    return torch.from_numpy(
        ndimage.distance_transform_edt(~mni_tissue()[0], return_distances=False, return_indices=True)
    )


def _side(x_mm: float) -> str:
    if abs(x_mm) < MIDLINE_MM:
        return "midline"
    return "right" if x_mm > 0 else "left"
