"""How many microbleeds are found that are planted into real scans, and how many places are found that are none.

The scans are those of people whom no training saw: heads without known microbleeds (NIfTI). Each is planted into
several times, by what ``csvd phantom --backgrounds`` plants with, and goes through ``csvd detect``, which finds its
brain itself. A lesion is found when the centre of something detected lies within 5 mm of its own, one to one. Lesions
that hardly differ from the tissue around them (contrast to noise) count neither as missed nor, when found, as false.

    python benchmarks/planted.py HEADS/*.nii.gz --out planted --seed 7001
"""

import argparse
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from planted_scans import Scan, plant, rate_columns, score
from scored import add_detector, contrast_of, draw_sheet, run_detector, shown, table

from csvd.io import load_datalist
from csvd.metrics.exact import exact_share
from csvd.phantom.planting_scan import MIMIC_CODES

RANGES = {
    "radius_mm": {"radius < 1.2 mm": (0, 1.2), "radius 1.2 to 1.8 mm": (1.2, 1.8), "radius > 1.8 mm": (1.8, np.inf)},
    "depth": {"depth < 0.6": (-np.inf, 0.6), "depth 0.6 to 0.8": (0.6, 0.8), "depth > 0.8": (0.8, np.inf)},
}
REGIONS = ("lobar", "deep", "infratentorial")
MIMIC_MM = 3.0
"""Distance from a false positive within which a planted mimic explains it."""


def mimic_at(item: dict, voxel: torch.Tensor) -> str:
    """Return which planted mimic lies within 3 mm of a voxel, or "not planted"."""
    image = nib.load(item["label"].replace("_label.nii.gz", "_mimics.nii.gz"))
    reach = np.ceil(MIMIC_MM / nib.affines.voxel_sizes(image.affine)).astype(int)
    box = tuple(slice(max(0, v - n), v + n + 1) for v, n in zip(voxel.tolist(), reach, strict=True))
    code = int(np.asarray(image.dataobj[box]).max())
    return next((name for name, value in MIMIC_CODES.items() if value == code), "not planted")


def row_of(name: str, scans: list[Scan]) -> list[object]:
    """Return the row of a group of scans."""
    return [name, len(scans), int(sum(scan.counted.sum() for scan in scans)), *rate_columns(scans)]


def kinds_of(lesion: dict[str, str]) -> list[str]:
    """Return the names of the groups that a lesion belongs to."""
    named = [
        next(name for name, (low, high) in ranges.items() if low <= float(lesion[key]) < high)
        for key, ranges in RANGES.items()
    ]
    return [*named, lesion["region"]] if lesion["region"] in REGIONS else named


def groups_of(scans: list[Scan]) -> dict[str, list[Scan]]:
    """Return scans by contrast and by background."""
    groups = {"all": scans}
    for scan in scans:
        groups.setdefault(contrast_of(scan.item["background"]), []).append(scan)
    for scan in sorted(scans, key=lambda scan: scan.item["background"]):
        groups.setdefault(f"`{scan.item['background']}`", []).append(scan)
    return groups


def print_tables(scans: list[Scan], seed: int, least_cnr: float) -> None:
    """Print what is found by scan, by kind of lesion, and what is falsely found."""
    print(f"Seed {seed}; lesions with contrast to noise of {least_cnr:g} or more; centres within 5 mm, one to one.\n")
    columns = ("scans", "n", "lesions", "TPR", "FPs per scan", "F1", "TPR at <= 1 FP per scan")
    print(table(columns, [row_of(name, group) for name, group in groups_of(scans).items()]))
    lesions, found = Counter(), Counter()
    for scan in scans:
        for lesion, counted, hit in zip(scan.lesions, scan.counted.tolist(), scan.found.tolist(), strict=True):
            for kind in kinds_of(lesion) if counted else ():
                lesions[kind] += 1
                found[kind] += hit
    order = [*(name for ranges in RANGES.values() for name in ranges), *REGIONS]
    rows = [(kind, lesions[kind], found[kind], shown(exact_share(found[kind], lesions[kind]))) for kind in order]
    print(table(("lesions", "n", "found", "TPR"), rows))
    taken = Counter(mimic_at(scan.item, voxel) for scan in scans for voxel in scan.false)
    print(table(("false positives that are", "n"), sorted(taken.items())))


def draw(scans: list[Scan], folder: Path) -> None:
    """Draw the false positives of each scan, and the lesions that were missed."""
    for scan in scans:
        name = f"{scan.item['subject']}_{scan.item['background']}"
        if len(scan.false):
            titles = [f"{value:.2f} {mimic_at(scan.item, v)}" for v, value in zip(scan.false, scan.said, strict=True)]
            draw_sheet(Path(scan.item["image"]), scan.false, titles, folder / f"{name}_false.png")
        missed = [row for row, missed in zip(scan.lesions, scan.counted > scan.found, strict=True) if missed]
        if missed:
            inverse = np.linalg.inv(nib.load(scan.item["image"]).affine)
            points = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in missed]
            voxels = torch.from_numpy(np.rint(nib.affines.apply_affine(inverse, points))).long()
            titles = [f"radius {row['radius_mm']}, CNR {row['cnr']}" for row in missed]
            draw_sheet(Path(scan.item["image"]), voxels, titles, folder / f"{name}_missed.png")


def main() -> None:
    """Plant, detect, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+", help="NIfTI files; words such as T2, FLAIR, BOLD name contrasts")
    parser.add_argument("--out", type=Path, required=True, help="folder of cohort, results and pictures")
    parser.add_argument("--seed", type=int, default=7001)
    parser.add_argument("--each", type=int, default=3, help="times that each scan is planted into")
    parser.add_argument("--lesions", type=int, default=12, help="of each scan")
    parser.add_argument("--mimics", type=int, default=6, help="of each scan")
    parser.add_argument("--cnr", type=float, default=4, help="least contrast to noise of lesions that count")
    parser.add_argument("--pictures", action="store_true", help="of what is falsely found and missed")
    add_detector(parser)
    arguments = parser.parse_args()
    cohort = plant(
        arguments.scans, arguments.out / "cohort", arguments.each, arguments.seed, arguments.lesions, arguments.mimics
    )
    results = arguments.out / "results"
    rows = run_detector(arguments, cohort, results, any_sequence=True)
    items = load_datalist(cohort, "test")
    scans = [score(item, results / row["case"], arguments.cnr) for item, row in zip(items, rows, strict=True)]
    print_tables(scans, arguments.seed, arguments.cnr)
    if arguments.pictures:
        draw(scans, arguments.out / "pictures")


if __name__ == "__main__":
    main()
