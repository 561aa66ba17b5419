"""Who has microbleeds, how many, where and how large."""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.special import xlogy
from scipy.stats import norm

from ..anatomy.regions import REGIONS, region_at
from .anatomy import Warp
from .blobs import Blob, is_clear, parenchyma_mm, random_blob
from .protocols import Protocol
from .vessels import Veins

# Share of lobar, deep and infratentorial microbleeds, and number of lesions relative to aSVD.
PHENOTYPES: dict[str, tuple[tuple[float, float, float], float]] = {
    "healthy": ((0, 0, 0), 0),
    "aSVD": ((0.25, 0.50, 0.25), 1.0),
    "CAA": ((1, 0, 0), 1.3),
    "CADASIL": ((0.4, 0.35, 0.25), 1.6),
}
# Mean and standard deviation of age, probability of being female, and share of the default mix.
DEMOGRAPHY: dict[str, tuple[float, float, float, float]] = {
    "healthy": (60, 9, 0.52, 0.34),
    "aSVD": (66, 10, 0.40, 0.30),
    "CAA": (74, 8, 0.45, 0.22),
    "CADASIL": (53, 9, 0.48, 0.14),
}
MOST_LESIONS = 40
SPREAD = 0.9
"""Standard deviation of the logarithm of the number of microbleeds."""
TRIALS = 40


def draw_person(rng: np.random.Generator, phenotype: str | None) -> tuple[str, float, str]:
    """Return phenotype, age in years and sex; without a given phenotype a third of all people are healthy."""
    drawn = str(rng.choice(list(DEMOGRAPHY), p=[share for *_, share in DEMOGRAPHY.values()]))
    kind = phenotype or drawn
    mean, spread, female, _ = DEMOGRAPHY[kind]
    age = round(float(np.clip(rng.normal(mean, spread), 35, 92)), 1)
    return kind, age, "F" if rng.random() < female else "M"


def phenotype_log_likelihood(phenotype: str, median: float, age: float, sex: str, regions: Mapping[str, int]) -> float:
    """Return the log-likelihood of a phenotype with microbleeds, from what a simulated person shows.

    It follows :func:`draw_person` and :func:`random_microbleeds`, but for microbleeds that find no place or lie outside
    the scan, and ages that are cut off. It leaves out a factor that all phenotypes share.

    Args:
        phenotype: ``"aSVD"``, ``"CAA"`` or ``"CADASIL"``.
        median: ``lesions`` of the protocol.
        age: in years.
        sex: ``"F"`` or ``"M"``.
        regions: number of microbleeds in each of :data:`csvd.anatomy.regions.REGIONS`, 0 to 40 in all.
    """
    shares, burden = PHENOTYPES[phenotype]
    mean, spread, female, _ = DEMOGRAPHY[phenotype]
    counts = np.array([regions.get(region, 0) for region in REGIONS])
    number = int(counts.sum())
    lowest = number - 0.5 if number > 1 else 0
    highest = number + 0.5 if number < MOST_LESIONS else np.inf
    with np.errstate(divide="ignore"):
        bounds = (np.log([lowest, highest]) - np.log(burden * median)) / SPREAD
        places = xlogy(counts, shares).sum()
    who = norm.logpdf(age, mean, spread) + np.log(female if sex == "F" else 1 - female)
    return float(who + np.log(np.diff(norm.cdf(bounds))[0]) + places)


def random_microbleeds(
    rng: np.random.Generator, protocol: Protocol, phenotype: str, warp: Warp, veins: Veins, margin_mm: float
) -> list[Blob]:
    """Draw the microbleeds of one subject; those of CAA lie strictly lobar.

    The number is log-normal around ``protocol.lesions`` and at most 40. Lesions keep ``margin_mm`` between their
    surfaces, so that their labels do not touch; one for which no place is found in 40 trials is left out.
    """
    shares, burden = PHENOTYPES[phenotype]
    if burden == 0:
        return []
    count = int(np.clip(round(burden * protocol.lesions * rng.lognormal(0, SPREAD)), 1, MOST_LESIONS))
    found: list[Blob] = []
    for _ in range(count):
        radius = np.clip(protocol.radius_mm * rng.lognormal(0, 0.35), 0.8, 5)
        chi = np.clip(rng.lognormal(np.log(1.2), 0.5), 0.4, 3)
        region = str(rng.choice(list(REGIONS), p=shares))
        darkness = rng.uniform(0.4, 1) if protocol.painted and rng.random() < protocol.painted else 0.0
        sites = _sites(rng, protocol, region, veins, found)
        for _ in range(TRIALS):
            place = sites[rng.integers(len(sites))] + rng.uniform(-0.9, 0.9, 3)
            blob = random_blob(
                rng,
                warp,
                place,
                radius_mm=radius,
                chi_ppm=0 if darkness else chi,
                kind="microbleed",
                irregular=protocol.irregular,
                bloom=protocol.bloom,
                darkness=darkness,
            )
            if region_at(torch.from_numpy(place)[None])[0][0] == region and is_clear(blob, found, margin_mm):
                found.append(blob)
                break
    return found


def _sites(rng: np.random.Generator, protocol: Protocol, region: str, veins: Veins, found: list[Blob]) -> np.ndarray:
    """Return the points of a region, (N, 3) MNI mm, among which a microbleed lies, or those that are special, if any.

    Special are points near the last microbleed, near a vein, or near the surface.
    """
    points, codes, depth = parenchyma_mm()
    sites = points[codes == REGIONS[region]]
    if not protocol.special:
        return sites
    chosen = sites[:0]
    way = rng.random() / protocol.special
    if way < 1 / 3 and found:
        distance = np.linalg.norm(sites - found[-1].mni_mm.numpy(), axis=1)
        chosen = sites[(distance > 4) & (distance < 14)]
    elif 1 / 3 <= way < 2 / 3:
        distance, _ = cKDTree(veins.points.numpy()).query(sites, distance_upper_bound=3)  # inf beyond
        chosen = sites[(distance > 1) & (distance < 3)]
    elif 2 / 3 <= way < 1:
        chosen = sites[depth[codes == REGIONS[region]] < 5]
    return chosen if len(chosen) else sites
