"""Veins as smooth random walks in MNI space, and drawing them as soft tubes on the simulation grid."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage

from .anatomy import ORIGIN_MM, tissue_template

STEP_MM = 0.5
GRID_MM = 2.0  # of the fields that guide veins
BLOOD_PPM = 4 * np.pi * 0.27 * 0.42  # susceptibility of deoxygenated against oxygenated blood, times haematocrit

# Large deep veins as polylines in MNI mm, right side, and their radius: internal cerebral, thalamostriate, septal,
# basal (Rosenthal); then the unpaired vein of Galen with the straight sinus.
PAIRED: tuple[tuple[float, tuple[tuple[float, float, float], ...]], ...] = (
    (0.9, ((3, 2, 10), (3, -12, 15), (3, -26, 13), (2, -38, 8))),
    (0.7, ((22, -28, 24), (19, -12, 22), (13, 2, 17), (3, 2, 10))),
    (0.5, ((10, 24, 12), (5, 14, 12), (3, 2, 10))),
    (0.7, ((18, 2, -16), (15, -12, -14), (15, -26, -6), (8, -36, 2), (2, -38, 8))),
)
GALEN: tuple[float, tuple[tuple[float, float, float], ...]] = (1.2, ((0, -38, 8), (0, -46, 8), (0, -56, 16)))


@dataclass
class Veins:
    """Points along the centre lines of veins, (N, 3) MNI mm, with radius (N,) mm and susceptibility (N,) ppm."""

    points: torch.Tensor
    radius_mm: torch.Tensor
    chi_ppm: torch.Tensor


@lru_cache(maxsize=1)
def _guides() -> dict[str, np.ndarray]:
    """Return what guides veins: start points (N, 3) MNI mm, and directions (3, X, Y, Z) on a 2 mm MNI grid."""
    _, white, csf, mask = tissue_template()[:, ::2, ::2, ::2].numpy()
    depth = ndimage.distance_transform_edt(mask, sampling=GRID_MM)
    x, y, z = (GRID_MM * a + o for a, o in zip(np.indices(mask.shape, sparse=True), ORIGIN_MM, strict=True))
    ventricle = (csf > 0.5) & (depth > 15) & (abs(x) < 40) & (y > -50) & (y < 36) & (z > -5) & (z < 32)
    away = ndimage.distance_transform_edt(~ventricle, sampling=GRID_MM)
    wall = (away > 0) & (away < 3.5) & (white > 0.4) & (abs(x) > 6)
    cortex = (depth > 1.5) & (depth < 5) & (csf > 0.15) & (z > -30)
    fields = {"outwards": away, "inwards": depth, "sulcus": 20 * csf}
    starts = {"wall": wall, "cortex": cortex}
    return {
        **{name: GRID_MM * np.argwhere(start) + np.array(ORIGIN_MM) for name, start in starts.items()},
        **{name: np.stack(np.gradient(ndimage.gaussian_filter(f, 1.0), GRID_MM)) for name, f in fields.items()},
    }


def _look_up(field: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Return the vectors of a field (3, X, Y, Z) nearest to (N, 3) MNI mm."""
    voxels = np.rint((points_mm - np.array(ORIGIN_MM)) / GRID_MM).astype(int)
    i, j, k = np.clip(voxels, 0, np.array(field.shape[1:]) - 1).T
    return field[:, i, j, k].T


def _walk(
    start: np.ndarray, heading: np.ndarray, pull: np.ndarray, steps: int, wander: float, rng: np.random.Generator
) -> np.ndarray:
    """Walk from (N, 3) MNI mm and return (N, steps, 3). The field ``pull`` (3, X, Y, Z) bends the way."""
    place, turn, track = start, np.zeros_like(start), []
    for _ in range(steps):
        track.append(place)
        turn = 0.8 * turn + wander * rng.standard_normal(place.shape)
        heading = heading + 0.04 * _look_up(pull, place) + turn
        heading = heading / np.linalg.norm(heading, axis=1, keepdims=True).clip(1e-6)
        place = place + STEP_MM * heading
    return np.stack(track, axis=1)


def _polyline(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return points every half millimetre on a smooth curve through the jittered corners."""
    corners = corners + rng.normal(0, 1.0, corners.shape)
    length = np.concatenate([[0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    fine = np.interp(np.arange(0, length[-1], STEP_MM), length, np.arange(len(corners)))
    line = np.stack([np.interp(fine, np.arange(len(corners)), corners[:, a]) for a in range(3)], axis=1)
    return ndimage.gaussian_filter1d(line, 6, axis=0, mode="nearest")


def random_veins(rng: np.random.Generator, density: float) -> Veins:
    """Draw the veins of one brain: medullary, cortical and sulcal, deep.

    Args:
        rng: source of all randomness.
        density: number of veins relative to an average brain.
    """
    guides = _guides()
    extraction = rng.uniform(0.24, 0.32)  # 1 - Y
    tracks: list[tuple[np.ndarray, float]] = []
    groups = (
        # name, number, pull, wander, least and greatest radius, least and greatest length in steps
        ("wall", 150, "outwards", 0.03, 0.2, 0.5, 20, 60),
        ("cortex", 200, "sulcus", 0.05, 0.3, 0.8, 30, 110),
        ("cortex", 160, "inwards", 0.04, 0.25, 0.45, 12, 36),
    )
    for name, number, pull, wander, thin, thick, shortest, longest in groups:
        count = max(1, int(rng.poisson(number * density)))
        start = guides[name][rng.integers(len(guides[name]), size=count)] + rng.uniform(-1, 1, (count, 3))
        heading = _look_up(guides["outwards" if name == "wall" else "inwards"], start)
        walked = _walk(start, heading + rng.normal(0, 0.4, (count, 3)), guides[pull], longest, wander, rng)
        radii = thin + (thick - thin) * rng.beta(1.3, 2.5, count)
        lengths = rng.integers(shortest, longest, size=count, endpoint=True)
        tracks += [(track[:n], float(r)) for track, n, r in zip(walked, lengths, radii, strict=True)]
    for radius, corners in PAIRED:
        tracks += [(_polyline(np.array(corners) * (s, 1, 1), rng), radius * rng.uniform(0.8, 1.2)) for s in (-1, 1)]
    tracks.append((_polyline(np.array(GALEN[1]), rng), GALEN[0] * rng.uniform(0.8, 1.2)))

    size = [len(track) for track, _ in tracks]
    radius_mm = np.repeat([r for _, r in tracks], size)
    chi = np.repeat(BLOOD_PPM * extraction * rng.normal(1, 0.08, len(tracks)), size)
    points = np.concatenate([track for track, _ in tracks])
    return Veins(*(torch.from_numpy(a.astype(np.float32)) for a in (points, radius_mm, chi)))


def draw_tubes(
    points: torch.Tensor, radius_mm: torch.Tensor, chi_ppm: torch.Tensor, voxel_mm: torch.Tensor, shape: torch.Size
) -> torch.Tensor:
    """Return susceptibility times the share of each voxel that a tube fills, (X, Y, Z) ppm.

    Args:
        points: (N, 3) centre lines in voxels.
        radius_mm: (N,). Thinner tubes than a voxel fill it in proportion to their cross-section.
        chi_ppm: (N,).
        voxel_mm: (3,) voxel size.
        shape: size of the volume.
    """
    volume = torch.zeros(shape, device=points.device)
    edge = float(voxel_mm.max())
    drawn = radius_mm.clamp(min=0.5 * edge)
    value = chi_ppm * (radius_mm / drawn).square()
    limit, voxel_mm = torch.tensor(shape, device=points.device), voxel_mm.to(points.device)
    # Thin and thick tubes apart, because the box around each point grows with the radius.
    for group in (drawn <= 0.55, drawn > 0.55):
        if not group.any():
            continue
        reach = ((drawn[group].max() + 0.5 * edge) / voxel_mm).ceil().long()
        offset = torch.cartesian_prod(*(torch.arange(-int(n), int(n) + 1, device=points.device) for n in reach))
        centre = points[group].round()
        corner = centre.long()[:, None] + offset  # (N, K, 3)
        distance = ((corner - points[group][:, None]) * voxel_mm).norm(dim=-1)
        filled = ((drawn[group][:, None] - distance) / edge + 0.5).clamp(0, 1) * value[group][:, None]
        inside = (filled > 0) & (corner >= 0).all(-1) & (corner < limit).all(-1)
        flat = (corner[..., 0] * shape[1] + corner[..., 1]) * shape[2] + corner[..., 2]
        volume.view(-1).scatter_reduce_(0, flat[inside], filled[inside], reduce="amax")
    return volume
