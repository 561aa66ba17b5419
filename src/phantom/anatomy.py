"""Anatomy of one simulated person: MNI152 tissue maps, deep grey iron, and the warp from scanner to MNI space."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage
from torch.nn.functional import grid_sample, interpolate

from ..anatomy.mni import mni_maps

ORIGIN_MM = (-98.0, -134.0, -72.0)  # MNI position of voxel 0 of the 1 mm template
CENTRE_MM = (0.0, -18.0, 8.0)  # MNI position of the middle of the brain, the point that stays put when a head turns
LATTICE_MM = 8.0

# Deep grey nuclei: centre (right side) and half axes in MNI mm, and susceptibility against cortex in ppm at age 60
# (values near those of quantitative susceptibility mapping in Li et al., Hum. Brain Mapp. 2014).
NUCLEI: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "globus pallidus": ((19, -4, 0), (5, 9, 5), 0.15),
    "putamen": ((26, 2, 1), (5, 14, 9), 0.06),
    "caudate": ((13, 12, 9), (4, 9, 8), 0.05),
    "caudate body": ((15, -4, 20), (3, 13, 4), 0.04),
    "thalamus": ((11, -19, 7), (8, 12, 8), 0.01),
    "red nucleus": ((5, -21, -10), (3, 3.5, 4), 0.11),
    "substantia nigra": ((10, -18, -13), (2.5, 6, 3), 0.13),
    "dentate": ((14, -57, -35), (6, 7, 4), 0.09),
}


@lru_cache(maxsize=1)
def tissue_template() -> torch.Tensor:
    """Return (4, X, Y, Z) on the 1 mm MNI grid: fractions of grey matter, white matter and CSF, and the brain mask.

    CSF is the brain without grey and white matter. The probabilities are squared before they are made to sum to 1,
    because an average over people is more blurred than one person.
    """
    mask, grey, white, _ = mni_maps()
    fraction = np.stack([grey, white, np.clip(1 - grey - white, 0, 1)]) ** 2
    fraction /= fraction.sum(axis=0)
    return torch.from_numpy(np.concatenate([fraction * mask, mask[None]]).astype(np.float32))


@lru_cache(maxsize=1)
def distance_outside() -> torch.Tensor:
    """Return the distance from the brain in mm on the 1 mm MNI grid, (X, Y, Z)."""
    outside = ndimage.distance_transform_edt(tissue_template()[3].numpy() == 0)
    return torch.from_numpy(outside.astype(np.float32))


def iron_template(rng: np.random.Generator, age: float) -> torch.Tensor:
    """Return the susceptibility of the deep grey nuclei, (X, Y, Z) ppm on the 1 mm MNI grid; it grows with age."""
    iron = torch.zeros(tissue_template().shape[1:])
    load = (0.55 + 0.0075 * age) * rng.lognormal(0, 0.15)
    for centre, axes, chi in NUCLEI.values():
        strength = chi * load * rng.lognormal(0, 0.15)
        half = torch.tensor(axes) * float(rng.lognormal(0, 0.06))
        for side in (-1, 1):
            middle = torch.tensor(centre) * torch.tensor([side, 1, 1]) - torch.tensor(ORIGIN_MM)
            low = (middle - half - 2).floor().long()
            box = tuple(slice(int(a), int(b)) for a, b in zip(low, (middle + half + 3).long(), strict=True))
            position = torch.stack(
                torch.meshgrid(*(torch.arange(s.start, s.stop).float() for s in box), indexing="ij"), dim=-1
            )
            radius = ((position - middle) / half).norm(dim=-1)
            inside = ((1 - radius) * half.min() + 0.5).clamp(0, 1)
            iron[box] = torch.maximum(iron[box], strength * inside)
    return iron


@dataclass
class Warp:
    """Map from scanner to MNI space: ``mni = y + u(y)`` with ``y = matrix @ (world - shift) + centre``.

    Args:
        matrix: (3, 3), size, shear and turn of the head.
        shift: (3,) mm, scanner position of the middle of the brain.
        displacement: (3, X, Y, Z) mm, the elastic part ``u`` on a lattice of 8 mm that starts at the template origin.
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    displacement: torch.Tensor

    def elastic(self, points: torch.Tensor) -> torch.Tensor:
        """Return ``u`` at (..., 3) MNI mm."""
        size = torch.tensor(self.displacement.shape[1:]) - 1
        place = 2 * (points - torch.tensor(ORIGIN_MM)) / LATTICE_MM / size - 1
        flat = place.flip(-1).reshape(1, -1, 1, 1, 3)
        moved = grid_sample(self.displacement[None], flat, padding_mode="border", align_corners=True)
        return moved.reshape(3, -1).T.reshape(points.shape)

    def to_mni(self, world: torch.Tensor) -> torch.Tensor:
        """Map (..., 3) scanner mm to MNI mm."""
        turned = (world - self.shift) @ self.matrix.T + torch.tensor(CENTRE_MM)
        return turned + self.elastic(turned)

    def to_world(self, mni: torch.Tensor) -> torch.Tensor:
        """Map (..., 3) MNI mm to scanner mm, by the fixed point of ``y = mni - u(y)``."""
        turned = mni
        for _ in range(12):
            turned = mni - self.elastic(turned)
        return (turned - torch.tensor(CENTRE_MM)) @ torch.linalg.inv(self.matrix).T + self.shift


def random_warp(rng: np.random.Generator, pose_deg: float, age: float) -> Warp:
    """Draw a head: size near 0.95 of the template (which is larger than most brains), shear, turn and shape.

    Old age widens the ventricles.
    """
    angles = torch.from_numpy(np.radians(rng.normal(0, pose_deg, 3).clip(-2.5 * pose_deg, 2.5 * pose_deg))).float()
    generators = torch.zeros(3, 3, 3)
    for axis in range(3):
        generators[axis, (axis + 1) % 3, (axis + 2) % 3] = -1
        generators[axis, (axis + 2) % 3, (axis + 1) % 3] = 1
    turn = torch.matrix_exp((angles[:, None, None] * generators).sum(0))
    size = rng.normal(0.95, 0.03) * rng.normal(1, 0.02, 3)
    shear = torch.eye(3) + torch.from_numpy(rng.normal(0, 0.015, (3, 3))).float().triu(1)
    matrix = torch.diag(torch.from_numpy(1 / size).float()) @ shear @ turn

    lattice = [int(n // LATTICE_MM) + 2 for n in tissue_template().shape[1:]]
    shape = np.zeros((3, *lattice))
    for scale_mm, amplitude_mm in ((28.0, 2.4), (13.0, 0.9)):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape.shape), (0, *[scale_mm / LATTICE_MM] * 3))
        shape += amplitude_mm * noise / noise.std()
    place = np.moveaxis(np.indices(lattice), 0, -1) * LATTICE_MM + np.array(ORIGIN_MM)
    growth = np.clip(rng.normal(0.006 * (age - 50), 0.08), -0.1, 0.35)
    for x in (-16, 16):
        offset = place - (x, -12, 16)
        shape -= np.moveaxis(growth * offset * np.exp(-(offset**2).sum(-1, keepdims=True) / (2 * 17**2)), -1, 0)
    return Warp(matrix, torch.zeros(3), torch.from_numpy(shape).float())


def sample_template(volumes: torch.Tensor, warp: Warp, affine: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Sample MNI volumes on a scanner grid.

    Args:
        volumes: (C, X, Y, Z) on the 1 mm MNI grid.
        warp: scanner to MNI.
        affine: (4, 4), voxel of the wanted grid to scanner mm.
        shape: size of the wanted grid.

    Returns:
        ``(C, *shape)``, on the device of the volumes. The warp is computed on every fourth millimetre and interpolated,
        which moves nothing by more than a tenth of a millimetre.
    """
    spacing = affine[:3, :3].norm(dim=0)
    nodes = [max(2, int(np.ceil(n * float(h) / 4)) + 1) for n, h in zip(shape, spacing, strict=True)]
    axes = [torch.linspace(0, n - 1, k) for n, k in zip(shape, nodes, strict=True)]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    mni = warp.to_mni(index @ affine[:3, :3].T + affine[:3, 3])
    place = 2 * (mni - torch.tensor(ORIGIN_MM)) / (torch.tensor(volumes.shape[1:]) - 1) - 1
    coarse = place.flip(-1).movedim(-1, 0)[None].to(volumes.device)
    place = interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)
    place = place[0].movedim(0, -1)[None]
    return grid_sample(volumes[None], place, padding_mode="border", align_corners=True)[0]
