"""Real scans with planted microbleeds, and what is found in them, for ``planted.py`` and ``learning_curve.py``."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scored import read_found, shown
from tqdm import tqdm

from csvd.metrics import count_points, froc, pair_points, tpr_at_fps
from csvd.metrics.exact import exact_rates
from csvd.phantom import plant_scan
from csvd.phantom.backgrounds import read_volume, save_planted
from csvd.transforms.brain.brain_mask import find_brain

THRESHOLDS = tuple((torch.arange(1, 100) / 100).tolist())


@dataclass(frozen=True)
class Scan:
    """A planted scan, what is found in it, and which of that is right.

    Attributes:
        item: of the data list.
        lesions: rows of the table of what was planted.
        counted: whether each counts, (M,) bool.
        found: whether each was found at the default threshold, (M,) bool.
        counts: at the default threshold, (4,).
        curve: at :data:`THRESHOLDS`, (T, 4).
        false: voxels of the false positives, (F, 3), and ``said``, their probabilities (F,).
    """

    item: dict
    lesions: list[dict[str, str]]
    counted: torch.Tensor
    found: torch.Tensor
    counts: torch.Tensor
    curve: torch.Tensor
    false: torch.Tensor
    said: torch.Tensor


def plant(scans: list[Path], out: Path, each: int, seed: int, lesions: int, mimics: int) -> Path:
    """Return the data list of a cohort planted into scans, ``each`` times into each; it names no brain masks."""
    items = []
    for number, path in enumerate(tqdm(scans, desc="planting", disable=None)):
        image, affine = read_volume(path)
        mask = find_brain(image, affine)
        for copy in range(each):
            name = f"sub-{number * each + copy + 1:03d}"
            draw = int(np.random.default_rng([seed, number, copy]).integers(2**31))
            planted = plant_scan(image, mask, affine, lesions=lesions, mimics=mimics, seed=draw)
            (out / name).mkdir(parents=True, exist_ok=True)
            save_planted(planted, mask, affine, out / name, name)
            files = {key: f"{name}/{name}_{kind}.nii.gz" for key, kind in (("image", "mag"), ("label", "label"))}
            items.append({**files, "subject": name, "contrast": "dark", "background": path.name.split(".")[0]})
    (out / "datalist.json").write_text(json.dumps({"test": items}))
    return out / "datalist.json"


def score(item: dict, result: Path, least_cnr: float) -> Scan:
    """Return what is found in a planted scan whose folder of results is given."""
    with Path(item["label"].replace("_label.nii.gz", "_lesions.tsv")).open(newline="") as file:
        lesions = list(csv.DictReader(file, delimiter="\t"))
    truth = torch.tensor([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in lesions]).reshape(-1, 3)
    counted = torch.tensor([float(row["cnr"]) >= least_cnr for row in lesions], dtype=torch.bool)
    found = read_found(result)
    points, voxels, said = found.points_mm[found.kept], found.voxels[found.kept], found.probability[found.kept]
    pairs = pair_points(points, truth)
    hit = torch.zeros(len(truth), dtype=torch.bool)
    hit[pairs[:, 1]] = True
    wrong = torch.ones(len(points), dtype=torch.bool)
    wrong[pairs[:, 0]] = False
    counts = count_points(points, said, truth, (0.0,), counted)[0]
    curve = count_points(found.points_mm, found.probability, truth, THRESHOLDS, counted)
    return Scan(item, lesions, counted, hit, counts, curve, voxels[wrong], said[wrong])


def rate_columns(scans: list[Scan]) -> list[str]:
    """Return TPR, false positives per scan, F1, and the best TPR at no more than 1 false positive a scan."""
    rates = exact_rates(torch.stack([scan.counts for scan in scans]))
    curve = froc(torch.stack([scan.curve for scan in scans]), THRESHOLDS, match="distance")
    at_one = f"{tpr_at_fps(curve, 1.0):.2f}" if any(scan.counted.any() for scan in scans) else ""
    return [*(shown(rates[name]) for name in ("tpr", "fps_per_subject", "f1")), at_one]
