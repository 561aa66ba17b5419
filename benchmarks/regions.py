"""How often region, side and MARS region of a microbleed are right: by registration, and by the bounding box."""

import argparse
import time
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import torch
from monai.data import MetaTensor
from tqdm import tqdm

from csvd.anatomy.affine import apply_affine
from csvd.anatomy.mars import mars_at
from csvd.anatomy.regions import REGIONS, region_at
from csvd.anatomy.registration import align_to_mni, box_to_mni
from csvd.lesions import burden
from csvd.phantom import PROTOCOLS, simulate_subject
from csvd.phantom.subject import Subject
from csvd.transforms import BrainMask

PRESETS = ("random", "oxvasc", "random", "ukbb")
PHENOTYPES = ("aSVD", "CAA", "CADASIL")
MEASURES = ("region", "side", "mars")
RESAMPLES = 2000


def simulate(seed: int, index: int) -> Subject:
    """Return a subject with about 12 to 20 microbleeds; two of four have a skull."""
    protocol = replace(PROTOCOLS[PRESETS[index % 4]], lesions=12)
    return simulate_subject(protocol, seed, index, phenotype=PHENOTYPES[index % 3], head=index // 2 % 2 == 1)


def pattern(places: list[list[str]]) -> str:
    """Return the pattern of lesions, whose region comes first."""
    found = Counter(place[0] for place in places)
    return burden({"total": len(places), "n/a": 0, **{region: found[region] for region in REGIONS}})["pattern"]


def is_right(subject: Subject, matrix: torch.Tensor | None) -> tuple[np.ndarray, bool]:
    """Return whether each of :data:`MEASURES` is right for each lesion, (N, 3) bool, and whether the pattern is.

    Without a map nothing is.
    """
    truth = [[str(lesion[name]) for name in MEASURES] for lesion in subject.lesions]
    if matrix is None:
        return np.zeros((len(truth), 3), bool), False
    points_mm = torch.tensor([[lesion[f"{axis}_mm"] for axis in "xyz"] for lesion in subject.lesions])
    points_mni = apply_affine(matrix, points_mm)
    found = [[*place, mars] for place, mars in zip(region_at(points_mni), mars_at(points_mni), strict=True)]
    return np.array(truth) == np.array(found), pattern(truth) == pattern(found)


def measure(subject: Subject, index: int) -> dict[str, tuple[np.ndarray, bool, float, str]]:
    """Return, for each mask and way, what is right, whether the pattern is, the seconds of a core, and the method."""
    kind = subject.protocol.contrasts[index % len(subject.protocol.contrasts)]
    image = MetaTensor(subject.images[kind][None], affine=subject.affine)
    masks = {"true mask": subject.mask[None]}
    if kind != "qsm":  # a signed image needs a mask
        masks["own mask"] = BrainMask()(image)
    results = {}
    for name, mask in masks.items():
        started = time.process_time()
        alignment = align_to_mni(image, mask, subject.affine)
        seconds = time.process_time() - started
        results[f"{name}, registration"] = (*is_right(subject, alignment.matrix), seconds, alignment.method)
        box = box_to_mni(torch.as_tensor(mask), subject.affine)
        results[f"{name}, bounding box"] = (*is_right(subject, box), 0.0, "none" if box is None else "bounding box")
    return results


def interval(right: list[np.ndarray]) -> str:
    """Return the share of True with its 95 % interval, from resampling subjects."""
    totals, sizes = np.array([r.sum() for r in right]), np.array([len(r) for r in right])
    chosen = np.random.default_rng(0).integers(len(right), size=(RESAMPLES, len(right)))
    low, high = np.percentile(totals[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), (2.5, 97.5))
    return f"{totals.sum() / sizes.sum():.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Print a row for each mask and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7300)
    arguments = parser.parse_args()
    found: dict[str, list[tuple[np.ndarray, bool, float, str]]] = defaultdict(list)
    for index in tqdm(range(arguments.subjects), disable=None):
        subject = simulate(arguments.seed, index)
        for name, result in measure(subject, index).items():
            found[name].append(result)
    print("| mask, way | subjects | lesions | region | side | MARS | pattern | methods used | seconds, median |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, results in found.items():
        shares = [interval([right[:, column] for right, *_ in results]) for column in range(3)]
        shares.append(f"{np.mean([same for _, same, *_ in results]):.2f}")
        methods = [method for *_, method in results]
        used = ", ".join(f"{methods.count(method)} {method}" for method in sorted({*methods}))
        lesions, seconds = sum(len(right) for right, *_ in results), np.median([spent for *_, spent, _ in results])
        print(f"| {name} | {len(results)} | {lesions} | {' | '.join(shares)} | {used} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
