"""How many calcifications the sign of their susceptibility tells from microbleeds, on simulated subjects.

Measured are the true masks of 2.5 mm3 or more, the least that the clean-up keeps, and, where ``benchmarks/held_out.py``
has left results beside a cohort, the detector's candidates that share a voxel with them, of which "detected" are those
of its instance map.

    csvd phantom --preset ukbb --subjects 10 --mimics 3 --seed 7201 --split 0 0 1 --out ukbb
    python benchmarks/susceptibility_sign.py ukbb HELD_OUT/random_CAA HELD_OUT/random_healthy
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from csvd.io import load_datalist
from csvd.phantom import MIMICS
from csvd.transforms import LesionInstances, SusceptibilitySign, relative_susceptibility

LEAST_MM3 = 2.5
COLUMNS = ("cohort", "subject", "what", "kind", "sign", "contrast", "mm3", "truth", "convention", "evidence")
KINDS = ("calcification", "microbleed", "microbleed of 0 ppm")


def items_of(folder: Path) -> list[dict]:
    """Return one item a subject: that which ``benchmarks/held_out.py`` chose, else the first."""
    chosen = folder / "one_each.json"
    items = load_datalist(chosen if chosen.exists() else folder / "datalist.json", "test")
    return list({item["subject"]: item for item in reversed(items)}.values())[::-1]


def read(item: dict, kind: str) -> np.ndarray:
    """Return a volume of a simulated subject."""
    return np.asarray(nib.load(item["label"].replace("_label.", f"_{kind}.")).dataobj)


def true_lesions(item: dict) -> tuple[np.ndarray, dict[int, str]]:
    """Return the map of microbleeds and calcifications, and what each number is."""
    with Path(item["label"].replace("_label.nii.gz", "_lesions.tsv")).open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    kinds = {int(row["id"]): KINDS[1 if float(row["chi_ppm"]) else 2] for row in rows}
    label = read(item, "label").astype(np.int64)
    stones, count = ndimage.label(read(item, "mimics") == MIMICS["calcification"], np.ones((3, 3, 3)))
    first, only = max(kinds, default=0), (stones > 0) & (label == 0)
    label[only] = first + stones[only]
    return label, kinds | {first + n: KINDS[0] for n in range(1, count + 1)}


def candidates(item: dict, folder: Path, truth: np.ndarray, kinds: dict[int, str]) -> tuple[np.ndarray, dict, dict]:
    """Return the detector's candidates, what each is that shares a voxel with a true lesion, and whether it is kept."""
    case = folder / item["subject"]
    prob, kept = (nib.load(case / f"{case.name}_{name}.nii.gz").get_fdata(dtype=np.float32) for name in ("prob", "cmb"))
    found = LesionInstances(threshold=1e-6)(torch.from_numpy(prob)[None])[0].numpy().astype(np.int64)
    both = (truth > 0) & (found > 0)
    pairs = np.unique(np.stack([found[both], truth[both]]), axis=1).T.tolist()
    what = {int(n): "detected" for n in np.unique(found[kept > 0])}
    return found, {candidate: kinds[lesion] for candidate, lesion in reversed(pairs)}, what


def score(item: dict, cohort: Path) -> Iterator[tuple]:
    """Yield a row of :data:`COLUMNS` for each lesion of a subject."""
    affine = torch.as_tensor(nib.load(item["label"].replace("_label.", "_phase.")).affine)
    phase, mask, qsm = (torch.from_numpy(read(item, kind).astype(np.float32)) for kind in ("phase", "mask", "qsm"))
    chi, inside = relative_susceptibility(phase, mask > 0, affine), mask > 0
    truth = int(np.sign(np.corrcoef(chi[inside], qsm[inside].clamp(-0.5, 0.5))[0, 1]))
    label, kinds = true_lesions(item)
    sets: list[tuple[np.ndarray, dict, dict]] = [(label, kinds, dict.fromkeys(kinds, "true masks"))]
    results = cohort.parent / "results" / cohort.name
    if (results / item["subject"]).exists():
        sets.append(candidates(item, results, label, kinds))
    for lesions, kinds, what in sets:
        volume_mm3 = np.bincount(lesions.ravel()) * abs(float(torch.linalg.det(affine[:3, :3])))
        instances = MetaTensor(torch.from_numpy(lesions.astype(np.int32))[None], affine=affine)
        told = SusceptibilitySign()(instances, phase[None], mask[None], affine, kind="phase")
        for number, kind in kinds.items():
            if number in told.sign and volume_mm3[number] >= LEAST_MM3:
                who = (cohort.name, item["subject"], what.get(number, "other candidates"), kind, told.sign[number])
                yield (*who, told.contrast[number], volume_mm3[number], truth, told.convention, told.evidence)


def rate(part: int, whole: int) -> str:
    """Return a share with its 95 % interval (Wilson)."""
    if not whole:
        return "-"
    low, high = proportion_confint(part, whole, method="wilson")
    return f"{part}/{whole} = {part / whole:.3f} [{low:.3f}, {high:.3f}]"


def print_tables(rows: list[dict]) -> None:
    """Print what was said of the lesions, in all and where the convention is known, and of the conventions."""
    print("| cohorts | what | lesions | diamagnetic: dropped | paramagnetic | unclear |\n|---|---|---|---|---|---|")
    presets = sorted({row["cohort"].partition("_")[0] for row in rows})
    groups = {name: [row for row in rows if row["cohort"].startswith(name)] for name in presets} | {"all": rows}
    groups["convention known"] = [row for row in rows if row["convention"]]
    groups["phase grows"] = [row for row in rows if row["truth"] > 0]
    groups["phase falls"] = [row for row in rows if row["truth"] < 0]
    for name, group in groups.items():
        for what in ("true masks", "detected", "other candidates"):
            for kind in KINDS:
                signs = [row["sign"] for row in group if row["kind"] == kind and row["what"] == what]
                shares = [rate(signs.count(sign), len(signs)) for sign in ("diamagnetic", "paramagnetic", "unclear")]
                if signs:
                    print(f"| {name} | {what} | {kind} | {' | '.join(shares)} |")
    scans = {(row["cohort"], row["subject"]): row for row in rows}.values()
    print("\n| convention | right | wrong | not told |\n|---|---|---|---|")
    for way, name in ((1, "phase grows with the field"), (-1, "phase falls")):
        said = [row["convention"] * way for row in scans if row["truth"] == way]
        print(f"| {name} | {' | '.join(rate(said.count(which), len(said)) for which in (1, -1, 0))} |")


def main() -> None:
    """Print the tables, and write a row a lesion where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="+", type=Path, help="folders of simulated cohorts: section 'test' is read")
    parser.add_argument("--table", type=Path, help="to write a row a lesion to (.tsv)")
    arguments = parser.parse_args()
    work = [(item, folder) for folder in arguments.cohorts for item in items_of(folder)]
    rows = [dict(zip(COLUMNS, row, strict=True)) for one in tqdm(work, disable=None) for row in score(*one)]
    if arguments.table:
        with arguments.table.open("w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, delimiter="\t")
            table.writeheader()
            table.writerows(rows)
    print_tables(rows)


if __name__ == "__main__":
    main()
