"""Balls of known susceptibility in a brain with veins, for tests of phase."""

import numpy as np
import torch
from geometry import grid_affine

from csvd.phantom.physics import dipole_field

BALLS_MM = {1: (-14.0, 2.0, -9.0), 2: (10.0, -8.0, 9.0), 3: (2.0, 14.0, -3.0)}  # from the grid's middle
CHI_PPM = {1: 0.8, 2: -0.8, 3: 0.0}
RADIUS_MM = 2.0
SIGN = {1: "paramagnetic", 2: "diamagnetic", 3: "unclear"}
TO_PHASE = 267.522 * 3.0 * 0.020  # rad / ppm at 3 T and 20 ms
GRIDS = {
    "isotropic": {"axcodes": "RAS", "voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 0.0, "shape": (60, 60, 56)},
    "thick slices": {"axcodes": "LPS", "voxel_mm": (0.8, 0.8, 2.5), "oblique_degrees": 0.0, "shape": (76, 76, 24)},
    "sagittal": {"axcodes": "ASR", "voxel_mm": (1.0, 1.0, 1.2), "oblique_degrees": 0.0, "shape": (60, 56, 50)},
    "oblique": {"axcodes": "RAS", "voxel_mm": (1.0, 1.0, 1.5), "oblique_degrees": 25.0, "shape": (64, 64, 42)},
}


def balls_and_veins(axcodes, voxel_mm, oblique_degrees, shape, chi_ppm=CHI_PPM, vein_ppm=0.3, noise=0.04, seed=0):
    """Return phase in radians, lesions, mask, (1, H, W, D) each, and the affine.

    The field of the balls is the formula of a sphere, that of the veins, 12 mm apart, comes from the dipole in k-space.
    """
    affine = grid_affine(axcodes, voxel_mm, oblique_degrees, shape)
    index = np.stack(np.indices(shape), axis=-1)
    axes = affine[:3, :3]
    offset = (index - (np.array(shape) - 1) / 2) @ axes.T  # mm in the world, from the middle
    inside = (index >= 2).all(-1) & (index < np.array(shape) - 2).all(-1)
    vein = ((((offset[..., 1:] + 6) % 12) - 6) ** 2).sum(-1) < 1.3**2
    balls = {n: np.linalg.norm(offset - place, axis=-1) for n, place in BALLS_MM.items()}
    vein &= ~np.any([distance < 5 for distance in balls.values()], axis=0)
    voxel = torch.tensor(voxel_mm)
    direction = torch.from_numpy((axes / np.linalg.norm(axes, axis=0))[2]).float()
    field = dipole_field(torch.from_numpy(vein_ppm * vein).float(), voxel, direction).numpy()
    label = np.zeros(shape, np.int32)
    for n, distance in balls.items():
        cosine = (offset - BALLS_MM[n])[..., 2] / np.maximum(distance, 1e-3)
        outside = (RADIUS_MM / np.maximum(distance, RADIUS_MM)) ** 3 * (3 * cosine**2 - 1)
        field += chi_ppm[n] / 3 * outside * (distance >= RADIUS_MM)
        label[distance < RADIUS_MM + 0.5] = n
    phase = TO_PHASE * field + noise * np.random.default_rng(seed).standard_normal(shape)
    volumes = (torch.from_numpy(part)[None] for part in (phase.astype(np.float32), label, inside.astype(np.uint8)))
    return *volumes, torch.from_numpy(affine)


def wrapped(phase):
    return torch.atan2(phase.sin(), phase.cos())
