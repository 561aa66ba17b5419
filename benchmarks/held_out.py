"""What is found on simulated subjects, a third of them healthy: in all, and by kind of lesion.

The subjects are those of four protocols, or of `patients`, whose scanner differs from one to the next. Each subject
shows one contrast, in turn, and goes through ``csvd detect`` at the default operating point. A lesion is found when the
centre of something detected lies within 5 mm of its own, one to one (distance); beside it, for all, when something
detected shares a voxel with it (overlap). Subjects are made if they are not there, with seeds that no training used.
Two tables say what is hard: lesions that hardly differ from what is around them, and false positives that are mimics,
of which a calcification cannot be told from a microbleed without phase.
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
from scored import Found, add_detector, read_found, run_detector, shown
from tqdm import tqdm

from csvd.io import load_datalist
from csvd.metrics import MATCHES, count_points, pair_points, reliability, summarize_cohort
from csvd.metrics.exact import exact_share
from csvd.phantom import MIMICS, write_cohort

PRESETS = ("ukbb", "oxvasc", "shk", "qsm", "patients")
CONTRASTS = {"swi": "SWI", "mag": "GRE", "qsm": "QSM"}
PHENOTYPES = ("healthy", "aSVD", "CAA")
RADII_MM = {"< 1.2 mm": (0, 1.2), "1.2 to 1.8 mm": (1.2, 1.8), "> 1.8 mm": (1.8, np.inf)}
CONTRAST_TO_NOISE = {"< 3": (0, 3), "3 to 6": (3, 6), "> 6": (6, np.inf)}
AROUND = 4  # voxels around a lesion that it is compared with


def make(out: Path, presets: list[str], subjects: int, seed: int) -> dict[tuple[str, str], Path]:
    """Return the data list of a cohort for each protocol and phenotype, each with its own seed; an item a subject."""
    lists = {}
    for offset, (preset, phenotype) in enumerate((p, t) for p in presets for t in PHENOTYPES):
        folder = out / f"{preset}_{phenotype}"
        if not (folder / "datalist.json").exists():
            write_cohort(preset, subjects, folder, seed + offset, phenotype=phenotype, split=(0, 0, 1), overwrite=True)
        items = json.loads((folder / "datalist.json").read_text())["test"]
        kinds = len(items) // subjects
        lists[preset, phenotype] = folder / "one_each.json"
        chosen = [items[kinds * k + k % kinds] for k in range(subjects)]
        lists[preset, phenotype].write_text(json.dumps({"test": chosen}))
    return lists


def lesion_at(found: Found, label: np.ndarray) -> list[int]:
    """Return the number of the lesion at the centre of each candidate or beside it, or 0."""
    beside = ndimage.maximum_filter(label, footprint=ndimage.generate_binary_structure(3, 1))
    return [int(beside[tuple(voxel)]) for voxel in found.voxels.tolist()]


def centres_mm(label: np.ndarray, affine: np.ndarray) -> tuple[list[int], torch.Tensor]:
    """Return the numbers of the lesions of an instance map, and their centres of mass (N, 3) in mm."""
    numbers = [int(number) for number in np.unique(label) if number]
    centres = np.reshape(ndimage.center_of_mass(label > 0, label, numbers), (-1, 3))
    return numbers, torch.from_numpy(nib.affines.apply_affine(affine, centres))


def within(value: float, ranges: dict[str, tuple[float, float]]) -> str:
    """Return the name of the range that a value lies in."""
    return next(name for name, (low, high) in ranges.items() if low <= value < high)


def contrast_to_noise(image: np.ndarray, label: np.ndarray, lesion: int) -> float:
    """Return how far half of a lesion's voxels differ from the median around it, in half the width of 68 % of those."""
    box = tuple(slice(max(0, axis.min() - AROUND), axis.max() + AROUND + 1) for axis in np.nonzero(label == lesion))
    values, inside = image[box], label[box] == lesion
    ring = values[(label[box] == 0) & ~ndimage.binary_dilation(inside) & (values != 0)]
    if not ring.size:
        return 0.0
    low, middle, high = np.percentile(ring, (16, 50, 84))
    return 2 * float(np.median(np.abs(values[inside] - middle))) / max(float(high - low), 1e-6)


def score(
    item: dict, result: Path, found: Found, proposed: set[int]
) -> tuple[dict[str, torch.Tensor], Counter[tuple[str, str, str]], Counter[str]]:
    """Return the lesion counts (4,) of a subject by each rule, its lesions by kind and fate, and its FPs by mimic.

    Kinds and false positives go by distance.
    """
    image, label, detected, mimics = (
        np.asarray(nib.load(path).dataobj)
        for path in (
            item["image"],
            item["label"],
            result / f"{result.name}_cmb.nii.gz",
            item["label"].replace("_label.nii.gz", "_mimics.nii.gz"),
        )
    )
    numbers, truth = centres_mm(label, nib.load(item["label"]).affine)
    points, ids = found.points_mm[found.kept], found.ids[found.kept].tolist()
    pairs = pair_points(points, truth)
    hit, right = {numbers[lesion] for lesion in pairs[:, 1]}, {ids[point] for point in pairs[:, 0]}
    counts = {"distance": count_points(points, torch.ones(len(points)), truth, (0.5,))[0]}
    counts["overlap"] = _overlap(detected, label)
    kinds: Counter[tuple[str, str, str]] = Counter()
    with Path(item["label"].replace("_label.nii.gz", "_lesions.tsv")).open() as file:
        for lesion in csv.DictReader(file, delimiter="\t"):
            number = int(lesion["id"])
            for kind in (
                ("radius", within(float(lesion["radius_mm"]), RADII_MM)),
                ("region", lesion["region"]),
                ("contrast to noise", within(contrast_to_noise(image, label, number), CONTRAST_TO_NOISE)),
            ):
                kinds[(*kind, "lesions")] += 1
                kinds[(*kind, "found")] += number in hit
                kinds[(*kind, "proposed")] += number in proposed
    names = {code: name for name, code in MIMICS.items()} | {0: "other"}
    taken = Counter(names[int(mimics[detected == false].max(initial=0))] for false in set(ids) - right)
    return counts, kinds, taken


def _overlap(detected: np.ndarray, label: np.ndarray) -> torch.Tensor:
    """Return the counts (4,) of instance maps by overlap."""
    found, true = (set(np.unique(one[other > 0])) - {0} for one, other in ((label, detected), (detected, label)))
    lesions, everything = (len(set(np.unique(one)) - {0}) for one in (label, detected))
    return torch.tensor([lesions, len(found), everything, everything - len(true)])


def row(who: str, counts: torch.Tensor, match: str) -> str:
    """Return a row of the table."""
    summary = summarize_cohort(counts, match=match)
    names = ("tpr", "fps_per_subject", "precision", "f1")
    known = names if counts[:, 0].any() else ("fps_per_subject",)
    rates = ["{value:.2f} [{low:.2f}, {high:.2f}]".format(**summary[name]) if name in known else "" for name in names]
    return f"| {who} | {len(counts)} | {int(counts[:, 0].sum())} | {match} | {' | '.join(rates)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of cohorts and results")
    parser.add_argument("--presets", nargs="+", default=PRESETS[:4], choices=PRESETS)
    parser.add_argument("--subjects", type=int, default=2, help="of each protocol and phenotype")
    parser.add_argument("--seed", type=int, default=401)
    add_detector(parser)
    arguments = parser.parse_args()
    rows: dict[tuple[str, str, str], list[dict[str, torch.Tensor]]] = {}
    kinds: Counter[tuple[str, str, str]] = Counter()
    taken: Counter[str] = Counter()
    said: list[tuple[float, float]] = []
    cohorts = make(arguments.out, arguments.presets, arguments.subjects, arguments.seed)
    for (preset, phenotype), cohort in tqdm(cohorts.items()):
        results = arguments.out / "results" / cohort.parent.name
        cases = run_detector(arguments, cohort, results, any_sequence=True)
        for item, case in zip(load_datalist(cohort, "test"), cases, strict=True):
            found = read_found(results / case["case"])
            lesions = lesion_at(found, np.asarray(nib.load(item["label"]).dataobj))
            counts, of_kinds, of_mimics = score(item, results / case["case"], found, set(lesions))
            contrast = CONTRASTS[Path(item["image"]).name.split(".")[0][-3:]]
            rows.setdefault((preset, contrast, phenotype), []).append(counts)
            kinds += of_kinds
            taken += of_mimics
            said += [(value, float(lesion > 0)) for value, lesion in zip(found.probability, lesions, strict=True)]
    print("Matched by distance: centres within 5 mm, one to one. By overlap: a voxel in common.\n")
    print("| subjects | n | lesions | matching | TPR | FPs per subject | precision | F1 |\n|" + "---|" * 8)
    groups = {"all": [*rows], "healthy": [key for key in rows if key[2] == "healthy"]}
    groups |= {f"`{key[0]}` {key[1]}": [other for other in rows if other[:2] == key[:2]] for key in sorted(rows)}
    for name, keys in groups.items():
        for match in MATCHES[::-1]:
            if keys and (match == "distance" or name in ("all", "healthy")):
                print(row(name, torch.stack([counts[match] for key in keys for counts in rows[key]]), match))
    print("\n| lesions | found | candidates | of | TPR |\n|---|---|---|---|---|")
    for kind, value in sorted({key[:2] for key in kinds}):
        found, proposed, lesions = (kinds[kind, value, what] for what in ("found", "proposed", "lesions"))
        print(f"| {kind} {value} | {found} | {proposed} | {lesions} | {shown(exact_share(found, lesions))} |")
    print("\n| false positives that are | number |\n|---|---|")
    for name, number in sorted(taken.items()):
        print(f"| {name} | {number} |")
    ece = reliability(*torch.tensor(said).reshape(-1, 2).T).ece if said else 0.0
    print(f"\nExpected calibration error of {len(said)} candidates: {ece:.4f}")


if __name__ == "__main__":
    main()
