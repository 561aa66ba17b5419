"""A whole head on the scanner's fine grid, as shares of tissues, for sequences that show more than susceptibility."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .anatomy import ORIGIN_MM, Warp, distance_outside, iron_template, sample_template, tissue_template
from .fields import smooth_noise
from .grid import Grid

# Per tissue: proton density, T1, T2 and T2* at 3 T in ms, diffusivity in 1e-3 mm2 / s.
PROPERTIES: dict[str, tuple[float, float, float, float, float]] = {
    "grey": (0.80, 1350, 95, 55, 0.8),
    "white": (0.70, 850, 72, 48, 0.65),
    "csf": (1.00, 4000, 1500, 400, 3.0),
    "lesion": (0.85, 1500, 130, 70, 1.1),  # of white matter
    "fat": (0.90, 350, 110, 35, 0.1),
    "muscle": (0.75, 1100, 38, 28, 1.3),
    "bone": (0.06, 600, 8, 1, 0.5),
}
TISSUES = tuple(PROPERTIES)
EYES_MM = ((32.0, 56.0, -38.0), 12.0)  # centre of the right one in MNI space, and radius


@dataclass
class Head:
    """What is where.

    Args:
        shares: (7, X, Y, Z), of :data:`TISSUES`; the rest is air.
        brain: (X, Y, Z), 1 inside.
        iron: (X, Y, Z), susceptibility of the deep grey nuclei in ppm.
        outside_mm: (X, Y, Z), distance from the brain.
    """

    shares: torch.Tensor
    brain: torch.Tensor
    iron: torch.Tensor
    outside_mm: torch.Tensor


@lru_cache(maxsize=1)
def _template() -> torch.Tensor:
    """Return (8, X, Y, Z) on the 1 mm MNI grid: tissues and mask, distance from the brain, coordinates in mm."""
    tissue = tissue_template()
    axes = [torch.arange(n) + first for n, first in zip(tissue.shape[1:], ORIGIN_MM, strict=True)]
    return torch.cat([tissue, distance_outside()[None], torch.stack(torch.meshgrid(*axes, indexing="ij"))])


def build_head(grid: Grid, warp: Warp, rng: np.random.Generator, age: float, face: bool) -> Head:
    """Lay brain, skull, scalp and, if wanted, a face of random tissue on the fine grid."""
    volumes = torch.cat([_template(), iron_template(rng, age)[None]])
    sampled = sample_template(volumes, warp, grid.fine_affine, grid.fine_shape)
    fraction, brain, outside, (x, y, z), iron = sampled[:3], sampled[3] > 0.5, sampled[4], sampled[5:8], sampled[8]
    fraction[2] *= float(np.exp(rng.normal(0.4 + 0.012 * (age - 50), 0.3)))
    fraction *= brain / fraction.sum(dim=0).clamp(min=1e-3)
    shares = torch.zeros(len(TISSUES), *brain.shape)
    shares[:3] = fraction
    texture = smooth_noise(rng, grid.fine_mm, grid.fine_shape, scale_mm=float(rng.uniform(6, 14)))
    ill = (texture > float(rng.uniform(1.0, 3.0))) & (fraction[1] > 0.6)
    shares[TISSUES.index("lesion")] = shares[1] * ill
    shares[1] *= ~ill

    fluid, skull = float(rng.uniform(0.5, 2.5)), float(rng.uniform(4.5, 7.5))
    scalp = skull + float(rng.uniform(3, 7))
    marrow = float(rng.uniform(0, 0.5))
    masks = {
        "csf": ~brain & (outside < fluid),
        "bone": ~brain & (outside >= fluid) & (outside < skull),
        "fat": ~brain & (outside >= skull) & (outside < scalp),
    }
    for name, mask in masks.items():
        shares[TISSUES.index(name)][mask] = 1
    between = masks["bone"] & (((outside - fluid) / (skull - fluid) - 0.5).abs() < 0.25)
    shares[TISSUES.index("bone")][between] = 1 - marrow
    shares[TISSUES.index("fat")][between] = marrow
    if face:
        _add_face(shares, (outside >= skull) & ~brain, (x, y, z), texture, rng)
    return Head(shares, brain.float(), iron, outside)


def _add_face(
    shares: torch.Tensor,
    free: torch.Tensor,
    mni: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    texture: torch.Tensor,
    rng: np.random.Generator,
) -> None:
    """Fill face and neck with lumps of fat, muscle, fluid and air, and put eyes into them, in place."""
    x, y, z = mni
    wide, long = float(rng.uniform(62, 78)), float(rng.uniform(88, 105))
    face = ((x / wide) ** 2 + ((y - 5) / long) ** 2 < 1) & (z < float(rng.uniform(-28, -8))) & (y > 0)
    neck = ((x / 62) ** 2 + ((y + 30) / 72) ** 2 < 1) & (z < -45)
    region = free & (face | neck)
    lumps = torch.bucketize(texture, torch.tensor(sorted(rng.normal((-1.1, -0.1, 1.2), 0.3).tolist())))
    for code, tissue in enumerate((None, "fat", "muscle", "csf")):
        here = region & (lumps == code)
        shares[:, here] = 0
        if tissue is not None:
            shares[TISSUES.index(tissue)][here] = 1
    (across, front, up), radius = EYES_MM
    eye = ((x.abs() - across) ** 2 + (y - front) ** 2 + (z - up) ** 2 < radius**2) & free
    shares[:, eye] = 0
    shares[TISSUES.index("csf")][eye] = 1
