"""Fraction of vessel voxels and of microbleed voxels that the vessel mask covers, on simulated CADASIL subjects."""

import argparse
from collections import Counter
from dataclasses import replace

from monai.data import MetaTensor
from tqdm import tqdm

from csvd.phantom import PROTOCOLS, simulate_subject
from csvd.transforms import VesselMask


def count_masked(preset: str, contrast: str, subjects: int, seed: int) -> Counter[str]:
    """Return the voxels of vessels and microbleeds in ``subjects`` scans, and those of them that are masked."""
    voxels: Counter[str] = Counter()
    protocol = replace(PROTOCOLS[preset], lesions=25)  # so that one lesion does not decide
    for index in tqdm(range(subjects), desc=f"{preset} {contrast}", leave=False, disable=None):
        subject = simulate_subject(protocol, seed, index, phenotype="CADASIL")
        bright = subject.images[contrast] if contrast == "qsm" else -subject.images[contrast]
        masked = VesselMask()(MetaTensor(bright[None], affine=subject.affine), subject.mask[None])[0] > 0
        for name, truth in (("vessels", subject.vessels > 0), ("microbleeds", subject.label > 0)):
            voxels[name] += int(truth.sum())
            voxels[f"{name} masked"] += int((truth & masked).sum())
    return voxels


def main() -> None:
    """Print a row a preset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=4, help="of each preset")
    parser.add_argument("--seed", type=int, default=77)
    arguments = parser.parse_args()
    print("| preset | image | vessel voxels masked | microbleed voxels masked |\n|---|---|---|---|")
    total: Counter[str] = Counter()
    for preset, contrast in (("ukbb", "swi"), ("oxvasc", "mag"), ("tich2", "swi"), ("ccm3t", "swi"), ("qsm", "qsm")):
        voxels = count_masked(preset, contrast, arguments.subjects, arguments.seed)
        total += voxels
        print(row(preset, contrast, voxels), flush=True)
    print(row("all", "", total))


def row(preset: str, contrast: str, voxels: Counter[str]) -> str:
    """Return a row of the table."""
    shares = [voxels[f"{name} masked"] / voxels[name] for name in ("vessels", "microbleeds")]
    return f"| {preset} | {contrast} | {shares[0]:.1%} | {shares[1]:.2%} |"


if __name__ == "__main__":
    main()
