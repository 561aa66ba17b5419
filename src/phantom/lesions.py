"""Microbleeds and what looks like them: how many, where in the brain, how large, and drawing them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage

from ..regions import REGIONS, mni_regions, region_at
from .anatomy import CENTRE_MM, Warp, tissue_template
from .protocols import Protocol

MIMICS: dict[str, int] = {"calcification": 1, "haemorrhage": 2}
# Share of lobar, deep and infratentorial microbleeds.
PHENOTYPES: dict[str, tuple[float, float, float]] = {
    "healthy": (0, 0, 0),
    "aSVD": (0.25, 0.50, 0.25),
    "CAA": (1, 0, 0),
    "CADASIL": (0.4, 0.35, 0.25),
}
# Mean and standard deviation of age, and the probability of being female.
DEMOGRAPHY: dict[str, tuple[float, float, float]] = {
    "healthy": (60, 9, 0.52),
    "aSVD": (66, 10, 0.40),
    "CAA": (74, 8, 0.45),
    "CADASIL": (53, 9, 0.48),
}


@dataclass
class Blob:
    """An ellipsoid of one susceptibility.

    Args:
        centre_mm: (3,) scanner RAS mm.
        axes: (3, 3), maps an offset in mm to one in units of ``radius_mm``-long axes (volume-preserving).
        radius_mm: radius of the sphere of the same volume.
        chi_ppm: susceptibility against the tissue around it.
        mni_mm: (3,) MNI position.
        kind: ``"microbleed"`` or a key of :data:`MIMICS`.
    """

    centre_mm: torch.Tensor
    axes: torch.Tensor
    radius_mm: float
    chi_ppm: float
    mni_mm: torch.Tensor
    kind: str = "microbleed"


def draw_phenotype(rng: np.random.Generator, phenotype: str | None) -> tuple[str, float, str]:
    """Return phenotype, age in years and sex; without a given phenotype a third of all people are healthy."""
    drawn = str(rng.choice(list(PHENOTYPES), p=(0.34, 0.30, 0.24, 0.12)))
    kind = phenotype or drawn
    mean, spread, female = DEMOGRAPHY[kind]
    age = round(float(np.clip(rng.normal(mean, spread), 35, 92)), 1)
    return kind, age, "F" if rng.random() < female else "M"


def _shape(rng: np.random.Generator, irregular: float) -> torch.Tensor:
    """Draw the ``axes`` of a :class:`Blob`: a stretch along random directions that keeps the volume."""
    stretch = np.exp(rng.normal(0, irregular, 3))
    stretch /= stretch.prod() ** (1 / 3)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return torch.from_numpy(np.diag(1 / stretch) @ turn).float()


def _blob(rng: np.random.Generator, warp: Warp, mni: np.ndarray, radius: float, chi: float, kind: str) -> Blob:
    place = torch.from_numpy(mni).float()
    axes = _shape(rng, {"haemorrhage": 0.25}.get(kind, 0.1))
    return Blob(warp.to_world(place), axes, float(radius), float(chi), place, kind)


def random_microbleeds(
    rng: np.random.Generator, protocol: Protocol, phenotype: str, warp: Warp, margin_mm: float
) -> list[Blob]:
    """Draw the microbleeds of one subject; those of CAA lie strictly lobar.

    The number is log-normal around ``protocol.lesions`` and at most 40. Lesions keep ``margin_mm`` between their
    surfaces, so that their labels do not touch; one for which no place is found in 40 trials is left out.
    """
    if phenotype == "healthy":
        return []
    # CADASIL and CAA carry more lesions than arteriolosclerosis.
    burden = protocol.lesions * {"aSVD": 1.0, "CAA": 1.3, "CADASIL": 1.6}[phenotype]
    count = int(np.clip(round(burden * rng.lognormal(0, 0.9)), 1, 40))
    codes, affine = mni_regions()
    tissue = _parenchyma()
    found: list[Blob] = []
    for _ in range(count):
        radius = float(np.clip(protocol.radius_mm * rng.lognormal(0, 0.3), 0.8, 5))
        chi = float(np.clip(rng.lognormal(np.log(1.1), 0.5), 0.4, 3))
        region = 1 + int(rng.choice(3, p=PHENOTYPES[phenotype]))
        choices = np.argwhere((codes.numpy() == region) & tissue)
        for _ in range(40):
            voxel = choices[rng.integers(len(choices))] + rng.uniform(-0.45, 0.45, 3)
            mni = voxel * affine.diagonal()[:3].numpy() + affine[:3, 3].numpy()
            if REGIONS[region_at(torch.from_numpy(mni)[None])[0][0]] != region:
                continue
            blob = _blob(rng, warp, mni, radius, chi, "microbleed")
            if all((blob.centre_mm - o.centre_mm).norm() > radius + o.radius_mm + margin_mm for o in found):
                found.append(blob)
                break
    return found


@lru_cache(maxsize=1)
def _parenchyma() -> np.ndarray:
    """Return where microbleeds may lie on the 2 mm grid of regions: grey or white matter, 3 mm inside the brain."""
    grey, white, _, mask, _ = tissue_template().numpy()
    good = (grey + white > 0.7) & (ndimage.distance_transform_edt(mask) > 3)
    # The 2 mm voxel k lies at the 1 mm voxel 2 k: both templates start at the same point.
    x, y, z = mni_regions()[0].shape
    return good[::2, ::2, ::2][:x, :y, :z]


def random_mimics(
    rng: np.random.Generator, protocol: Protocol, warp: Warp, age: float, lesions: list[Blob], margin_mm: float
) -> list[Blob]:
    """Draw calcifications (negative ppm) of pineal gland, choroid plexus, pallidum and elsewhere, and haemorrhage."""
    places: list[tuple[np.ndarray, float, float, str]] = []
    often = min(0.9, 0.01 * age)
    for centre, radius in (((0, -29, 1), 2.0), ((24, -42, 6), 2.2), ((-24, -42, 6), 2.2)):
        if rng.random() < often:
            jitter = np.array(centre) + rng.normal(0, 1.0, 3)
            places.append((jitter, radius * rng.lognormal(0, 0.25), -rng.uniform(0.4, 1.8), "calcification"))
    if rng.random() < 0.15:
        for side in (-1, 1):
            jitter = np.array((19 * side, -3, 0)) + rng.normal(0, 1.5, 3)
            places.append((jitter, rng.uniform(0.9, 2.0), -rng.uniform(0.3, 1.2), "calcification"))
    choices = np.argwhere(_parenchyma())
    affine = mni_regions()[1].numpy()
    anywhere = lambda: choices[rng.integers(len(choices))] * affine.diagonal()[:3] + affine[:3, 3]  # noqa: E731
    for _ in range(int(rng.poisson(protocol.calcifications))):
        places.append((anywhere(), rng.uniform(0.8, 2.2), -rng.uniform(0.4, 2.0), "calcification"))
    if rng.random() < protocol.haemorrhage:
        away = 0.75 * anywhere() + 0.25 * np.array(CENTRE_MM)
        places.append((away, rng.uniform(8, 18), rng.uniform(0.3, 1.0), "haemorrhage"))
    blobs = [_blob(rng, warp, *place) for place in places]
    return [
        blob
        for blob in blobs
        if all((blob.centre_mm - o.centre_mm).norm() > blob.radius_mm + o.radius_mm + margin_mm for o in lesions)
    ]


def blob_cover(blob: Blob, centres_mm: torch.Tensor, edge_mm: float) -> torch.Tensor:
    """Return the share of voxels that a blob fills.

    Args:
        blob: what to draw.
        centres_mm: (..., 3) voxel centres, scanner mm.
        edge_mm: width of the soft edge, one voxel.
    """
    distance = ((centres_mm - blob.centre_mm) @ blob.axes.T).norm(dim=-1)
    return ((blob.radius_mm - distance) / edge_mm + 0.5).clamp(0, 1)
