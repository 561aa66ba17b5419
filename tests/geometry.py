"""A brain-like object with one microbleed at a known world point, sampled on any grid: the same object every time."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
CENTRE_MM = (4.0, -9.0, 13.0)
"""World point at the centre of the object and of the field of view; not the origin, so that shifts show."""


@dataclass(frozen=True)
class Planted:
    """A scan and the truth about its lesion.

    Attributes:
        image: int16 scan, 0 outside the brain.
        lesion_world_mm: centre of the lesion, RAS+ mm.
        lesion_voxel: the same point in voxels of the stored grid, not rounded.
        radius_mm: radius of the lesion.
    """

    image: nib.Nifti1Image
    lesion_world_mm: np.ndarray
    lesion_voxel: np.ndarray
    radius_mm: float


def planted_scan(
    axcodes="RAS",
    voxel_mm=(1.0, 1.0, 1.0),
    oblique_degrees=0.0,
    shape=(96, 112, 88),
    lesion_world_mm=(24.0, 8.0, 30.0),
    radius_mm=2.5,
    volumes=1,
    seed=0,
):
    """Sample the object, an ellipsoid of half axes 42, 50 and 38 mm with one dark sphere.

    Args:
        axcodes: directions of the stored axes before they are turned.
        voxel_mm: voxel size along each stored axis.
        oblique_degrees: angle by which the grid is turned about the world's x axis, then its z axis.
        shape: voxels along each stored axis.
        lesion_world_mm: centre of the lesion, RAS+ mm.
        radius_mm: its radius.
        volumes: more than 1 gives a 4-D scan, each volume with noise of its own.
        seed: of the noise, which has a hundredth of the tissue's intensity.
    """
    affine = grid_affine(axcodes, voxel_mm, oblique_degrees, shape)
    indices = np.stack(np.indices(shape, dtype=np.float32), axis=-1)
    world = indices @ affine[:3, :3].T.astype(np.float32) + (affine[:3, 3] - CENTRE_MM).astype(np.float32)
    depth = 1 - np.linalg.norm(world / np.float32((42, 50, 38)), axis=-1)  # 1 at the centre, 0 at the surface
    texture = sum(np.sin(world[..., axis] / wave + axis) for axis, wave in ((0, 9.0), (1, 11.0), (2, 8.0)))
    tissue = np.where(depth > 0, 600 + 60 * np.tanh(8 * (depth - 0.15)) + 12 * texture, 0)
    tissue *= 1 - 0.8 * sphere_fraction(affine, shape, lesion_world_mm, radius_mm)
    noise = 6 * np.random.default_rng(seed).standard_normal((*shape, volumes), np.float32) * (depth > 0)[..., None]
    voxels = np.clip(tissue[..., None] + noise, 0, None).round().astype(np.int16)
    image = nib.Nifti1Image(voxels if volumes > 1 else voxels[..., 0], affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    lesion_voxel = nib.affines.apply_affine(np.linalg.inv(affine), lesion_world_mm)
    return Planted(image, np.asarray(lesion_world_mm), lesion_voxel, radius_mm)


def grid_affine(axcodes, voxel_mm, oblique_degrees, shape):
    """Return the affine (4, 4) of a grid whose middle lies at ``CENTRE_MM``."""
    angle = np.radians(oblique_degrees)
    turn = nib.eulerangles.euler2mat(x=angle) @ nib.eulerangles.euler2mat(z=angle)
    axes = turn @ np.array([DIRECTIONS[code] for code in axcodes]).T * voxel_mm
    return nib.affines.from_matvec(axes, CENTRE_MM - axes @ ((np.array(shape) - 1) / 2))


def sphere_fraction(affine, shape, centre_mm, radius_mm, steps=6):
    """Return the fraction of each voxel, of 0 to 1, that lies in a sphere: steps^3 points a voxel."""
    offsets = (np.stack(np.indices((steps,) * 3), axis=-1).reshape(-1, 3) + 0.5) / steps - 0.5
    middle = nib.affines.apply_affine(np.linalg.inv(affine), centre_mm)
    reach = radius_mm / nib.affines.voxel_sizes(affine) + 1
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, shape).astype(int)
    voxels = np.stack(np.indices(high - low), axis=-1) + low
    points = nib.affines.apply_affine(affine, voxels[..., None, :] + offsets)
    fraction = np.zeros(shape)
    box = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    fraction[box] = (np.linalg.norm(points - centre_mm, axis=-1) < radius_mm).mean(axis=-1)
    return fraction


STORED = {
    "RAS": {},
    "LPS": {"axcodes": "LPS"},
    "LAS": {"axcodes": "LAS"},
    "oblique": {"oblique_degrees": 20.0},
    "thick": {"voxel_mm": (0.5, 0.5, 3.0), "shape": (192, 224, 30)},
    "4-D": {"axcodes": "LAS", "volumes": 2},
}
"""Arguments of :func:`planted_scan` for the ways in which a scan may be stored."""
