"""How many microbleeds the first step proposes: dark foci by the Hessian beside fast radial symmetry, on the same grid.

For each scan of cohorts with known microbleeds both give at most so many candidates, the strongest. A microbleed is
proposed when a candidate lies within 2.5 mm of its centre in plane, and within 2.5 mm or one slice through plane.

    python benchmarks/proposals.py PLANTED SIMULATED --most 1500
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from scored import items_of, table
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.inferers.foci import BRIGHTEST, find_foci, tissue_field
from csvd.planes import Turn
from csvd.transforms.features.frst import fast_radial_symmetry
from csvd.transforms.grid.window_maximum import window_maximum

RADII_MM = (0.8, 1.2, 1.8, 2.7)
NEAR_MM = 2.5

Spacing = tuple[float, float, float]
Proposer = Callable[[torch.Tensor, torch.Tensor, Spacing, int], torch.Tensor]


def hessian(image: torch.Tensor, mask: torch.Tensor, spacing_mm: Spacing, most: int) -> torch.Tensor:
    """Return the dark foci that the detector looks at, (N, 3) voxels."""
    return find_foci(image, mask, spacing_mm, threshold=0, most=most).points


def radial_symmetry(image: torch.Tensor, mask: torch.Tensor, spacing_mm: Spacing, most: int) -> torch.Tensor:
    """Return the strongest maxima of fast radial symmetry for dark spheres, in 3-D, (N, 3) voxels."""
    flat = (image / tissue_field(image, mask, spacing_mm)).clamp(max=BRIGHTEST)
    symmetry = -fast_radial_symmetry(flat[None, None], RADII_MM, spacing=spacing_mm, polarity="dark")[0, 0]
    window = [3 if mm > 1.5 else 2 * int(0.75 / mm) + 1 for mm in spacing_mm]
    found = (symmetry == window_maximum(symmetry, [max(3, w) for w in window])) & (symmetry > 0) & mask
    points = found.nonzero()
    return points[symmetry[tuple(points.T)].argsort(descending=True)[:most]]


PROPOSERS: dict[str, Proposer] = {"Hessian": hessian, "fast radial symmetry": radial_symmetry}


def lesions_of(item: dict) -> torch.Tensor:
    """Return the centres of the microbleeds of a scan, (M, 3), in its voxels."""
    with Path(item["label"].replace("_label.nii.gz", "_lesions.tsv")).open(newline="") as file:
        rows = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in csv.DictReader(file, delimiter="\t")]
    points = np.reshape(rows, (-1, 3))
    return torch.tensor(nib.affines.apply_affine(np.linalg.inv(nib.load(item["image"]).affine), points))


def proposed(points: torch.Tensor, lesions: torch.Tensor, spacing_mm: Spacing) -> int:
    """Return how many lesions (M, 3) have a candidate (N, 3) near them; slices lie along the last axis."""
    offset = (points[:, None] - lesions[None]).abs() * torch.tensor(spacing_mm)
    near = (offset[..., :2].norm(dim=-1) <= NEAR_MM) & (offset[..., 2] <= max(NEAR_MM, 1.01 * spacing_mm[2]))
    return int(near.any(dim=0).sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="+", type=Path, help="folders of csvd phantom")
    parser.add_argument("--most", type=int, default=1500, help="candidates of a scan")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config(find_bundle("cmb_detection") / "configs" / "train.json")
    preprocessing = config.get_parsed_content("preprocessing")
    rows = []
    for cohort in arguments.cohorts:
        items = [item for item in items_of(cohort) if "label" in item]
        total, found, seconds = 0, dict.fromkeys(PROPOSERS, 0), dict.fromkeys(PROPOSERS, 0.0)
        for item in tqdm(items, cohort.name, disable=None):
            data = preprocessing(item)
            turn = Turn.of(data["image"])
            image, mask = turn.there(data["image"].as_tensor())
            lesions = turn.points_there(lesions_of(item), data["image"].shape[1:])
            total += len(lesions)
            for name, propose in PROPOSERS.items():
                start = time.perf_counter()
                points = propose(image, mask > 0, turn.spacing, arguments.most)
                seconds[name] += (time.perf_counter() - start) / len(items)
                found[name] += proposed(points, lesions, turn.spacing)
        rows += [[cohort.name, name, f"{found[name]} of {total}", f"{seconds[name]:.1f}"] for name in PROPOSERS]
    print(f"At most {arguments.most} candidates a scan.\n")
    print(table(["cohort", "first step", "proposed", "seconds a scan"], rows))


if __name__ == "__main__":
    main()
