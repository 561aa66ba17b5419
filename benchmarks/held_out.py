"""What is found on simulated subjects, a third of them healthy: in all, and by kind of lesion.

The subjects are those of four protocols, or of `random`, whose scanner differs from one to the next. Each subject shows
one contrast, in turn, and goes through ``csvd detect`` at the default operating point. A lesion is found when something
that was detected shares a voxel with it (overlap). Subjects are made if they are not there, with seeds that no training
used.
"""

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from tqdm import tqdm

from csvd.data import load_datalist
from csvd.detection import detect, find_bundle
from csvd.metrics import reliability, summarize_cohort
from csvd.phantom import write_cohort

PRESETS = {"ukbb": "SWI", "oxvasc": "GRE", "shk": "SWI", "qsm": "QSM", "random": "SWI, GRE and QSM"}
LESIONS = {"random": 4.0}  # of a subject; as in patients, not as in training
PHENOTYPES = ("healthy", "aSVD", "CAA")
RADII_MM = {"< 1.2 mm": (0, 1.2), "1.2 to 1.8 mm": (1.2, 1.8), "> 1.8 mm": (1.8, np.inf)}


def make(out: Path, presets: list[str], subjects: int, seed: int) -> dict[tuple[str, str], Path]:
    """Return the data list of a cohort for each protocol and phenotype, each with its own seed; an item a subject."""
    lists = {}
    for offset, (preset, phenotype) in enumerate((p, t) for p in presets for t in PHENOTYPES):
        folder = out / f"{preset}_{phenotype}"
        if not (folder / "datalist.json").exists():
            how = {"phenotype": phenotype, "lesions": LESIONS.get(preset), "split": (0, 0, 1), "overwrite": True}
            write_cohort(preset, subjects, folder, seed + offset, **how)
        items = json.loads((folder / "datalist.json").read_text())["test"]
        kinds = len(items) // subjects
        lists[preset, phenotype] = folder / "one_each.json"
        chosen = [items[kinds * k + k % kinds] for k in range(subjects)]
        lists[preset, phenotype].write_text(json.dumps({"test": chosen}))
    return lists


def candidates(item: dict, result: Path) -> list[tuple[float, float]]:
    """Return what was said of each candidate, and whether a lesion lies at its centre or beside it."""
    label = np.asarray(nib.load(item["label"]).dataobj) > 0
    with (result / f"{result.name}_candidates.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    beside = ndimage.binary_dilation(label)
    return [(float(row["probability"]), float(beside[int(row["i"]), int(row["j"]), int(row["k"])])) for row in rows]


def judge(item: dict, result: Path) -> tuple[torch.Tensor, Counter[tuple[str, str, str]]]:
    """Return the lesion counts (4,) of a subject, and how many lesions of each kind there are and were found."""
    label, detected = (
        np.asarray(nib.load(path).dataobj).astype(int) for path in (item["label"], result / f"{result.name}_cmb.nii.gz")
    )
    found = set(np.unique(label[detected > 0])) - {0}
    true = set(np.unique(detected[label > 0])) - {0}
    everything = set(np.unique(detected)) - {0}
    kinds: Counter[tuple[str, str, str]] = Counter()
    with Path(item["label"].replace("_label.nii.gz", "_lesions.tsv")).open() as file:
        for lesion in csv.DictReader(file, delimiter="\t"):
            radius = float(lesion["radius_mm"])
            size = next(name for name, (low, high) in RADII_MM.items() if low <= radius < high)
            for kind in (("radius", size), ("region", lesion["region"])):
                kinds[(*kind, "lesions")] += 1
                kinds[(*kind, "found")] += int(lesion["id"]) in found
    lesions = len(set(np.unique(label)) - {0})
    return torch.tensor([lesions, len(found), len(everything), len(everything) - len(true)]), kinds


def row(who: str, counts: torch.Tensor) -> str:
    """Return a row of the table."""
    summary = summarize_cohort(counts, match="overlap")
    names = ("tpr", "fps_per_subject", "precision", "f1")
    rates = ["{value:.2f} [{low:.2f}, {high:.2f}]".format(**summary[name]) for name in names]
    return f"| {who} | {len(counts)} | {int(counts[:, 0].sum())} | {' | '.join(rates)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of cohorts and results")
    parser.add_argument("--presets", nargs="+", default=[*PRESETS][:4], choices=[*PRESETS])
    parser.add_argument("--bundle", type=Path, help="folder; the one that came with csvd")
    parser.add_argument("--subjects", type=int, default=2, help="of each protocol and phenotype")
    parser.add_argument("--seed", type=int, default=401)
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], list[torch.Tensor]] = {}
    kinds: Counter[tuple[str, str, str]] = Counter()
    said: list[tuple[float, float]] = []
    cohorts = make(arguments.out, arguments.presets, arguments.subjects, arguments.seed)
    for (preset, phenotype), cohort in tqdm(cohorts.items()):
        results = arguments.out / "results" / cohort.parent.name
        bundle = arguments.bundle or find_bundle("cmb_detection")
        cases = detect(cohort, results, bundle, overwrite=True, any_sequence=True)
        for item, case in zip(load_datalist(cohort, "test"), cases, strict=True):
            counts, more = judge(item, results / case["case"])
            rows.setdefault((preset, phenotype), []).append(counts)
            kinds += more
            said += candidates(item, results / case["case"])
    print("| subjects | n | lesions | TPR | FPs per subject | precision | F1 |\n|---|---|---|---|---|---|---|")
    everyone = {key: torch.stack(value) for key, value in rows.items()}
    print(row("all", torch.cat([*everyone.values()])))
    print(row("healthy", torch.cat([counts for (_, phenotype), counts in everyone.items() if phenotype == "healthy"])))
    for preset in arguments.presets:
        print(
            row(
                f"`{preset}` {PRESETS[preset]}",
                torch.cat([counts for (one, _), counts in everyone.items() if one == preset]),
            )
        )
    print("\n| lesions | found | of |\n|---|---|---|")
    for kind, value in sorted({key[:2] for key in kinds}):
        print(f"| {kind} {value} | {kinds[kind, value, 'found']} | {kinds[kind, value, 'lesions']} |")
    ece = reliability(*torch.tensor(said).T).ece
    print(f"\nExpected calibration error of {len(said)} candidates: {ece:.4f}")


if __name__ == "__main__":
    main()
