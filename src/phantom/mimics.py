"""What looks like a microbleed: diamagnetic calcifications, large haemorrhages, cavernomas, and lacunes of fluid."""

import numpy as np

from .anatomy import CENTRE_MM, Warp
from .blobs import Blob, is_clear, parenchyma_mm, random_blob, ventricles_mm
from .protocols import Protocol

# Places of calcification: MNI mm, median radius in mm, probability per year of age.
CALCIFIED: tuple[tuple[tuple[float, float, float], float, float], ...] = (
    ((0, -29, 1), 1.9, 0.008),  # pineal gland
    ((24, -42, 6), 2.0, 0.007),  # choroid plexus
    ((-24, -42, 6), 2.0, 0.007),
    ((19, -3, 0), 1.4, 0.002),  # globus pallidus
    ((-19, -3, 0), 1.4, 0.002),
)


def random_mimics(
    rng: np.random.Generator, protocol: Protocol, warp: Warp, age: float, lesions: list[Blob], margin_mm: float
) -> list[Blob]:
    """Draw the mimics of one subject; what comes nearer than ``margin_mm`` to a microbleed is left out.

    Only a subject with microbleeds has a haemorrhage. Of the others there are ``protocol.mimics`` times as many as the
    protocol says.
    """
    blobs = _calcifications(rng, protocol, warp, age)
    if lesions and rng.random() < protocol.haemorrhage:
        blobs += _haemorrhage(rng, warp)
    if protocol.cavernomas:
        blobs += [
            blob
            for _ in range(int(rng.poisson(protocol.mimics * protocol.cavernomas)))
            for blob in _cavernoma(rng, warp)
        ]
    if protocol.lacunes:
        blobs += [_lacune(rng, warp) for _ in range(int(rng.poisson(protocol.mimics * protocol.lacunes)))]
    return [blob for blob in blobs if is_clear(blob, lesions, margin_mm)]


def _anywhere(rng: np.random.Generator) -> np.ndarray:
    points, _, _ = parenchyma_mm()
    return points[rng.integers(len(points))]


def _calcifications(rng: np.random.Generator, protocol: Protocol, warp: Warp, age: float) -> list[Blob]:
    places = [
        (np.array(centre) + rng.normal(0, 1.2, 3), radius)
        for centre, radius, per_year in CALCIFIED
        if rng.random() < protocol.mimics * per_year * age
    ]
    places += [(_anywhere(rng), 1.2) for _ in range(int(rng.poisson(protocol.mimics * protocol.calcifications)))]
    if protocol.plexus:
        fluid = ventricles_mm()
        count = int(rng.poisson(protocol.mimics * protocol.plexus))
        places += [(fluid[rng.integers(len(fluid))] + rng.uniform(-0.9, 0.9, 3), 1.4) for _ in range(count)]
    return [
        random_blob(
            rng,
            warp,
            place,
            radius_mm=radius * rng.lognormal(0, 0.25),
            chi_ppm=-rng.uniform(0.2, 1.4),
            kind="calcification",
            irregular=0.2,
        )
        for place, radius in places
    ]


def _haemorrhage(rng: np.random.Generator, warp: Warp) -> list[Blob]:
    """Draw one haemorrhage as a clot with smaller lobes on its rim."""
    core = 0.8 * _anywhere(rng) + 0.2 * np.array(CENTRE_MM)
    size = rng.uniform(5, 14)
    blobs = []
    for lobe in range(int(rng.integers(4, 9))):
        way = rng.standard_normal(3)
        place = core + (lobe > 0) * 0.8 * size * way / np.linalg.norm(way)
        radius = size * (rng.uniform(0.35, 0.7) if lobe else 1)
        chi = rng.uniform(0.25, 0.9)
        blobs.append(
            random_blob(rng, warp, place, radius_mm=radius, chi_ppm=chi, kind="haemorrhage", irregular=0.2, bloom=1.0)
        )
    return blobs


def _cavernoma(rng: np.random.Generator, warp: Warp) -> list[Blob]:
    """Draw one cavernoma: a rim of iron around lobules of blood that are brighter."""
    core, size = _anywhere(rng), rng.uniform(3, 9)
    blobs = [
        random_blob(
            rng, warp, core, radius_mm=size, chi_ppm=rng.uniform(0.5, 2), kind="cavernoma", irregular=0.15, bloom=1.2
        )
    ]
    for _ in range(int(rng.integers(1, 6))):
        place = core + rng.normal(0, 0.3 * size, 3)
        radius = size * rng.uniform(0.2, 0.45)
        blobs.append(
            random_blob(rng, warp, place, radius_mm=radius, chi_ppm=rng.uniform(0, 0.3), kind="cavernoma", bloom=1.0)
        )
    return blobs


def _lacune(rng: np.random.Generator, warp: Warp) -> Blob:
    """Draw one lacune, or widened perivascular space, in the deep half of the brain."""
    points, _, depth = parenchyma_mm()
    deep = points[depth > 12]
    place = deep[rng.integers(len(deep))] + rng.uniform(-1, 1, 3)
    radius = rng.uniform(1, 5)
    return random_blob(rng, warp, place, radius_mm=radius, chi_ppm=0, kind="lacune", irregular=0.2, bloom=1.0)
