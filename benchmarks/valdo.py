"""Scores the detector as the challenge VALDO 2021, Task 2, does, on its own layout, for whoever has the scans.

Folders ``sub-XXX`` hold ``sub-XXX_space-T2S_desc-masked_T2S.nii.gz`` and ``sub-XXX_space-T2S_CMB.nii.gz``; the first
digit of XXX is the cohort. Each scan goes through ``csvd detect`` with no option; one that is refused counts, with
nothing found. Lesions are the connected components of a mask, paired one to one with those detected whose centres lie
within 5 mm. Medians are those over scans: of F1 and Dice over scans with a lesion, of the absolute differences of
count and volume over all. TPR, false positives and F1 are pooled, with exact 95 % intervals. The last columns show
whether probabilities are right: their sum is then near the number of microbleeds among the detections.

    python benchmarks/valdo.py --root Task2 --out valdo

Sudre et al., Where is VALDO?, Med. Image Anal. 2024. https://doi.org/10.1016/j.media.2023.103029
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from scored import add_detector, run_detector, shown, table

from csvd.io import read_layout
from csvd.io.tables import read_table
from csvd.lesions import label_components
from csvd.metrics import ScanScore, score_masks
from csvd.metrics.cohort_score import challenge_figures
from csvd.metrics.exact import exact_rates

COLUMNS = ("scans", "n", "refused", "lesions", "TPR", "FPs per scan", "F1")
MEDIANS = ("median F1", "median count difference", "median Dice", "median volume difference, mm3")
PROBABILITIES = ("detections", "microbleeds among them", "sum of their probabilities")


@dataclass(frozen=True)
class Scored:
    """A scan against its mask.

    Attributes:
        site: cohort.
        voxel_mm: size of its voxels.
        refused: whether it has no result.
        score: against its mask.
        expected: number of microbleeds among the detections, by their probabilities.
    """

    site: str
    voxel_mm: tuple[float, ...]
    refused: bool
    score: ScanScore
    expected: float


def find_scans(root: Path) -> list[dict[str, Any]]:
    """Return the items of the scans under a folder, in the order of their names."""
    return [item for subject in read_layout(root, "valdo") for item in subject]


def write_list(items: list[dict[str, Any]], path: Path, section: str = "test") -> Path:
    """Write a data list of scans alone, as a user has them, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({section: [{"image": item["image"], "subject": item["subject"]} for item in items]}))
    return path


def score(item: dict[str, Any], result: Path) -> Scored:
    """Compare the results in a folder, which is missing where the scan was refused, with the mask of a scan."""
    label = read_truth(item)
    detected, expected = torch.zeros_like(label), 0.0
    if result.is_dir():
        rows = read_table(result / f"{result.name}_lesions.tsv")
        expected = sum(float(row["probability"]) for row in rows)
        volume = np.asarray(nib.load(result / f"{result.name}_cmb.nii.gz").dataobj) > 0
        detected[0] = torch.from_numpy(label_components(volume)[0])
    score = score_masks(detected, label, label.affine)
    return Scored(item["site"], tuple(label.pixdim.tolist()), not result.is_dir(), score, expected)


def read_truth(item: dict[str, Any]) -> MetaTensor:
    """Return the mask of the microbleeds of a scan, (1, H, W, D) of 0 and 1."""
    label = nib.load(item["label"])
    mask = np.nan_to_num(np.asarray(label.dataobj, dtype=np.float32)) > 0.5
    return MetaTensor(torch.from_numpy(mask[None].astype(np.float32)), affine=label.affine)


def row_of(name: str, scans: list[Scored]) -> list[object]:
    """Return the row of a group of scans."""
    counts = torch.stack([scan.score.counts["distance"] for scan in scans])
    rates, figures = exact_rates(counts), challenge_figures([scan.score for scan in scans])
    formats = {"f1": ".2f", "count_difference": "g", "dice": ".2f", "volume_difference_mm3": ".1f"}
    medians = [f"{figures[key].median:{form}}" if figures[key].scans else "" for key, form in formats.items()]
    refused = sum(scan.refused for scan in scans)
    pooled = [shown(rates[k]) for k in ("tpr", "fps_per_subject", "f1")]
    lesions, found, detections, _ = counts.sum(dim=0).tolist()
    expected = f"{sum(scan.expected for scan in scans):.1f}"
    return [name, len(scans), refused, lesions, *pooled, *medians, detections, found, expected]


def table_of(scans: list[Scored]) -> str:
    """Return the table of all scans and of each cohort."""
    groups: dict[str, list[Scored]] = {"all": scans}
    for site in sorted({scan.site for scan in scans}):
        group = [scan for scan in scans if scan.site == site]
        voxel = " x ".join(f"{median(sizes):.2f}" for sizes in zip(*(scan.voxel_mm for scan in group), strict=True))
        groups[f"cohort {site}, {voxel} mm"] = group
    groups["without lesions"] = [scan for scan in scans if not scan.score.lesions]
    return table((*COLUMNS, *MEDIANS, *PROBABILITIES), [row_of(name, group) for name, group in groups.items() if group])


def main() -> None:
    """Detect, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the subjects, or one above it")
    parser.add_argument("--out", type=Path, default=Path("valdo_results"), help="folder of the results")
    add_detector(parser)
    arguments = parser.parse_args()
    items = find_scans(arguments.root)
    rows = run_detector(arguments, write_list(items, arguments.out / "datalist.json"), arguments.out / "results")
    scans = [score(item, arguments.out / "results" / row["case"]) for item, row in zip(items, rows, strict=True)]
    print(table_of(scans))


if __name__ == "__main__":
    main()
