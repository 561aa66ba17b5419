"""Ellipsoids of one susceptibility: microbleeds and what looks like them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage

from ..anatomy.regions import REGIONS, mni_regions
from .anatomy import Warp, tissue_template
from .protocols import BLOOM

VENTRICLE_DEPTH_MM = 20.0  # fluid nearer than this to the surface of the brain is in sulci
MIMICS: dict[str, int] = {"calcification": 1, "haemorrhage": 2, "cavernoma": 3, "lacune": 4}


@dataclass
class Blob:
    """An ellipsoid of one susceptibility.

    Readers mark what they see, and the field makes a deposit look larger than it is: ``radius_mm`` is the radius
    that is marked, the deposit itself is ``bloom`` times smaller.

    Args:
        centre_mm: (3,) scanner RAS mm.
        axes: (3, 3) of determinant +-1, turns an offset in mm into one from a sphere.
        radius_mm: radius of the marked lesion, as that of the sphere of the same volume.
        chi_ppm: susceptibility, in place of that of iron and veins.
        mni_mm: (3,) MNI position.
        kind: ``"microbleed"`` or a key of :data:`MIMICS`.
        bloom: ratio of the marked radius to that of the deposit.
        darkness: share of the magnitude that it takes away without any susceptibility; 0 for what has one.
    """

    centre_mm: torch.Tensor
    axes: torch.Tensor
    radius_mm: float
    chi_ppm: float
    mni_mm: torch.Tensor
    kind: str
    bloom: float
    darkness: float = 0.0

    def cover(self, points_mm: torch.Tensor, voxel_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which share of each voxel the deposit and the marked lesion fill.

        Args:
            points_mm: (..., 3) voxel centres, scanner mm.
            voxel_mm: (3,) voxel size. A deposit smaller than that keeps its volume, and so its field.
        """
        distance = ((points_mm - self.centre_mm) @ self.axes.T).norm(dim=-1)
        edge, core_mm = voxel_mm.max(), self.radius_mm / self.bloom
        marked = ((self.radius_mm - distance) / edge + 0.5).clamp(0, 1)
        deposit = ((core_mm - distance) / edge + 0.5).clamp(0, 1)
        drawn_mm3 = (deposit.sum() * voxel_mm.prod()).clamp(min=1e-6)
        return deposit * (4 / 3 * torch.pi * core_mm**3 / drawn_mm3).clamp(max=1), marked


def random_blob(
    rng: np.random.Generator,
    warp: Warp,
    mni_mm: np.ndarray,
    *,
    radius_mm: float,
    chi_ppm: float,
    kind: str,
    irregular: float = 0.1,
    bloom: float = BLOOM,
    darkness: float = 0.0,
) -> Blob:
    """Draw the shape of a blob at an MNI position; ``irregular`` is the spread of the logarithm of its half axes."""
    stretch = np.exp(rng.normal(0, irregular, 3))
    stretch /= stretch.prod() ** (1 / 3)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    axes = torch.from_numpy(np.diag(1 / stretch) @ turn).float()
    place = torch.from_numpy(mni_mm).float()
    return Blob(warp.to_world(place), axes, float(radius_mm), float(chi_ppm), place, kind, bloom, darkness)


def is_clear(blob: Blob, others: list[Blob], margin_mm: float) -> bool:
    """Return whether ``margin_mm`` or more lie between the surfaces of a blob and all others."""
    return all((blob.centre_mm - o.centre_mm).norm() > blob.radius_mm + o.radius_mm + margin_mm for o in others)


@lru_cache(maxsize=1)
def parenchyma_mm() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return MNI points in grey or white matter 3 mm or more inside the brain: (N, 3) mm, region codes, depth in mm."""
    (grey, white, _), codes, depth = _template_2mm()
    inside = (grey + white > 0.7) & (depth > 3) & (codes > 0)
    return _points_mm(inside), codes[inside], depth[inside]


@lru_cache(maxsize=1)
def ventricles_mm() -> np.ndarray:
    """Return MNI points in the fluid of the ventricles, (N, 3) mm."""
    (_, _, fluid), codes, depth = _template_2mm()
    return _points_mm((fluid > 0.9) & (depth > VENTRICLE_DEPTH_MM) & (codes == REGIONS["deep"]))


def _template_2mm() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return grey matter, white matter and CSF (3, X, Y, Z), region codes and depth in mm, on the 2 mm MNI grid."""
    # Voxel k of the 2 mm template lies on voxel 2 k of the 1 mm template: both start at the same point.
    template = tissue_template()[:, ::2, ::2, ::2].numpy()
    return template[:3], mni_regions()[0].numpy(), ndimage.distance_transform_edt(template[3], sampling=2.0)


def _points_mm(inside: np.ndarray) -> np.ndarray:
    """Return the MNI positions (N, 3) of voxels of the 2 mm grid."""
    affine = mni_regions()[1].numpy()
    return np.argwhere(inside) * affine.diagonal()[:3] + affine[:3, 3]
