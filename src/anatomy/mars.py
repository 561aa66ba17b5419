"""Which region of the Microbleed Anatomical Rating Scale a point of the brain lies in, by rules in MNI space."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage

from .mni import mni_coordinates, mni_tissue
from .regions import REGIONS, mni_regions, nearest_voxels

MARS: dict[str, str] = {
    "frontal": "lobar",
    "parietal": "lobar",
    "temporal": "lobar",
    "occipital": "lobar",
    "insula": "lobar",
    "basal ganglia": "deep",
    "thalamus": "deep",
    "internal capsule": "deep",
    "external capsule": "deep",
    "corpus callosum": "deep",
    "deep white matter": "deep",
    "brainstem": "infratentorial",
    "cerebellum": "infratentorial",
}
"""Regions of the scale (Gregoire et al., Neurology 2009) and the coarse region each belongs to."""

# Centres (|x|, y, z) in MNI mm, by learning vector quantisation of the lobes of the Desikan-Killiany atlas.
LOBE_CENTRES_MM: dict[str, tuple[tuple[int, int, int], ...]] = {
    "frontal": (
        *((14, 54, -3), (17, 19, 49), (42, 38, -4), (18, -16, 58)),
        *((49, 13, 13), (22, 38, 26), (41, 2, 36), (18, 23, -18)),
    ),
    "parietal": (
        *((14, -60, 41), (34, -45, 64), (11, -52, 16), (32, -81, 27)),
        *((55, -21, 25), (43, -65, 27), (-2, -20, 29), (52, -34, 38)),
    ),
    "temporal": (
        *((37, 8, -38), (34, -69, -19), (56, -30, 5), (34, -31, -18)),
        *((57, -31, -19), (56, -1, -17), (23, -9, -21), (58, -59, -6)),
    ),
    "occipital": (
        *((12, -81, -12), (27, -92, -19), (26, -98, 12), (14, -65, -5)),
        *((7, -78, 9), (45, -82, -4), (12, -71, 5), (11, -97, 2)),
    ),
    "insula": ((31, 4, -4), (26, -10, 8)),
}
# Ellipsoids: centre (|x|, y, z) and half axes in mm, and how x leans with y, x with z and y with z.
Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
CAUDATE: Ellipsoid = ((13, 12, 8), (5.5, 11, 15), (0.3, 0.35, -0.6))
ACCUMBENS: Ellipsoid = ((8, 9, -10), (6, 8, 8), (0, -0.3, 0.4))
LENTIFORM: Ellipsoid = ((24, 0, -1), (8.5, 17, 13), (-0.2, 0.2, -0.3))
THALAMUS: Ellipsoid = ((11, -18, 6), (10, 18, 11), (-0.3, 0.15, 0))
BRAINSTEM: Ellipsoid = ((0, -33, -37), (17, 15, np.inf), (0, 0, 0.28))
CALLOSUM_MM = ((18, -4), (28, 0), (30, 9), (22, 17), (5, 24), (-10, 26), (-25, 23), (-37, 16), (-37, 8))
"""Course (y, z) of the corpus callosum in the midsagittal plane, from rostrum to splenium."""
CALLOSUM_REACH_MM = (18.0, 6.0)  # to the side, and around the course
GAP_MM = 16.0  # width of the internal capsule, between its nuclei, and of its fan at their edges
EXTERNAL_MM = 8.0  # from the lentiform nucleus to the insula
FAR_MM = 18.0  # more than any distance of the rules
GREY_MM = 6.0  # grey matter this close to a nucleus that the rules leave out is part of it


@lru_cache(maxsize=1)
def mni_mars() -> torch.Tensor:
    """Return the index in :data:`MARS`, from 1, on the grid of :func:`mni_regions`, (X, Y, Z) uint8, 0 outside.

    The rules divide the regions of :func:`mni_regions`, so that the coarse region always follows:

    - lobar: the lobe of the nearest of 34 centres.
    - infratentorial: brainstem in a leaning elliptic cylinder around midbrain, pons and medulla, else cerebellum.
    - deep: basal ganglia (caudate, accumbens, lentiform) and thalamus are leaning ellipsoids; corpus callosum is
      white matter around its midsagittal course; internal capsule lies between the lentiform nucleus and caudate or
      thalamus; external capsule (with claustrum and extreme capsule) lateral of the lentiform nucleus; the rest is deep
      and periventricular white matter, ventricles included.
    """
    codes = mni_regions()[0].numpy()
    number = {name: index for index, name in enumerate(MARS, start=1)}
    mars = np.zeros_like(codes)
    for region, name in (("infratentorial", "cerebellum"), ("deep", "deep white matter")):
        mars[codes == REGIONS[region]] = number[name]
    mars[(codes == REGIONS["infratentorial"]) & _inside(BRAINSTEM)] = number["brainstem"]
    for name, part in _deep_parts().items():
        mars[(codes == REGIONS["deep"]) & part] = number[name]
    lobar = codes == REGIONS["lobar"]
    mars[lobar] = [number[name] for name in _lobes(np.argwhere(lobar))]
    return torch.from_numpy(mars)


def mars_at(points_mni_mm: torch.Tensor) -> list[str]:
    """Return the region of :data:`MARS` of each MNI point.

    Args:
        points_mni_mm: (N, 3) RAS mm. A point outside the brain takes the region of the nearest brain voxel.

    Raises:
        ValueError: the points are not (N, 3).
    """
    names = list(MARS)
    return [names[code - 1] for code in mni_mars()[nearest_voxels(points_mni_mm)].tolist()]


def _lobes(index: np.ndarray) -> list[str]:
    """Return the lobe of voxels (N, 3) of the 2 mm grid."""
    affine = mni_tissue()[3]
    points = index * affine.diagonal()[:3] + affine[:3, 3]
    points[:, 0] = abs(points[:, 0])
    names = [name for name, centres in LOBE_CENTRES_MM.items() for _ in centres]
    centres = np.concatenate([np.array(centres) for centres in LOBE_CENTRES_MM.values()])
    nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)  # without |point|², the same for all
    return [names[n] for n in nearest]


def _deep_parts() -> dict[str, np.ndarray]:
    """Return the parts of the deep region, later ones over earlier ones, (X, Y, Z) bool each."""
    white = mni_tissue()[2] > 0.5
    x, y, z = mni_coordinates()
    ganglia = _inside(CAUDATE) | _inside(ACCUMBENS) | _inside(LENTIFORM)
    thalamus = _inside(THALAMUS)
    to_lentiform, to_ganglia, to_thalamus = (_distance(part) for part in (_inside(LENTIFORM), ganglia, thalamus))
    medial = np.minimum(_distance(_inside(CAUDATE)), to_thalamus)
    leftover = ~white & (np.minimum(to_ganglia, to_thalamus) <= GREY_MM)
    centre, half, (xy, xz, _) = LENTIFORM
    middle = centre[0] + xy * (y - centre[1]) + xz * (z - centre[2])  # |x| of the middle of the lentiform nucleus
    return {
        "internal capsule": (medial + to_lentiform <= GAP_MM) & (abs(x) <= middle + half[0]) & white,
        "external capsule": (to_lentiform <= EXTERNAL_MM) & (abs(x) > middle),
        "corpus callosum": white & (abs(x) <= CALLOSUM_REACH_MM[0]) & (_to_course(y, z) <= CALLOSUM_REACH_MM[1]),
        "basal ganglia": ganglia | (leftover & (to_ganglia < to_thalamus) & (abs(x) <= middle)),
        "thalamus": (thalamus & ~ganglia) | (leftover & (to_thalamus <= to_ganglia)),
    }


def _inside(ellipsoid: Ellipsoid) -> np.ndarray:
    """Return where the 2 mm grid lies in an ellipsoid or its mirror image, (X, Y, Z) bool."""
    (cx, cy, cz), (a, b, c), (xy, xz, yz) = ellipsoid
    x, y, z = mni_coordinates()
    across = abs(x) - cx - xy * (y - cy) - xz * (z - cz)
    along = y - cy - yz * (z - cz)
    return (across / a) ** 2 + (along / b) ** 2 + ((z - cz) / c) ** 2 <= 1


def _distance(part: np.ndarray) -> np.ndarray:
    """Return the distance to a part, mm, infinite beyond :data:`FAR_MM` of its box."""
    margin = round(FAR_MM / 2)
    box = tuple(slice(max(0, index.min() - margin), index.max() + margin + 1) for index in np.nonzero(part))
    distance = np.full(part.shape, np.inf)
    distance[box] = ndimage.distance_transform_edt(~part[box], sampling=2.0)
    return distance


def _to_course(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distance in the sagittal plane from the course of the corpus callosum, mm."""
    ends = np.array(CALLOSUM_MM, dtype=float)
    distances = []
    for start, stop in pairwise(ends):
        step = stop - start
        share = (((y - start[0]) * step[0] + (z - start[1]) * step[1]) / (step**2).sum()).clip(0, 1)
        distances.append(np.hypot(y - start[0] - share * step[0], z - start[1] - share * step[1]))
    return np.min(distances, axis=0)
