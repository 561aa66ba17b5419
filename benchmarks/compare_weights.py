"""How well weights of the detector tell planted microbleeds from false positives, a row a file of weights.

Scans are planted into as in `planted.py`, and thresholds are chosen on the same scans, so that only the order of the
probabilities counts. Weights without a calibration get that of the bundle.

    python benchmarks/compare_weights.py HEADS/*.nii.gz --weights short.pt long.pt --out compared --seed 7001
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from planted_scans import THRESHOLDS, Scan, plant, score
from scored import contrast_of, run_detector, table

from csvd.bundles import find_bundle
from csvd.io import load_datalist
from csvd.metrics import froc, tpr_at_fps

FPS = (0.25, 0.5, 1.0, 2.0)
"""False positives per scan at which the rates of detection are compared."""
CALIBRATION = ("temperature", "bias")


def complete_state(state: dict[str, torch.Tensor], calibration: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state of a ``PatchEnsemble`` from its own or from that of one ``PatchClassifier``."""
    if not any(name.startswith("members.") for name in state):
        state = {f"members.0.{name}": value for name, value in state.items()}
    return {**calibration, **state}


def bundle_with(weights: Path, bundle: Path, folder: Path) -> tuple[Path, int]:
    """Copy a bundle into a new folder, with other weights, and return it and the number of their networks."""
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("eval"), dirs_exist_ok=True)
    shipped = torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    state = complete_state(state, {name: shipped[name] for name in CALIBRATION})
    members = len({name.split(".")[1] for name in state if name.startswith("members.")})
    torch.save(state, folder / "models" / "model.pt")
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["network_def"]["members"] = members
    path.write_text(json.dumps(config))
    return folder, members


def row_of(name: str, members: int, scans: list[Scan]) -> list[object]:
    """Return the cells of the weights: rates at :data:`FPS`, and at 1 false positive per scan by contrast."""
    groups = {"all": scans}
    for scan in scans:
        groups.setdefault(contrast_of(scan.item["background"]), []).append(scan)
    curves = {
        group: froc(torch.stack([scan.curve for scan in some]), THRESHOLDS, match="distance")
        for group, some in groups.items()
    }
    rates = [tpr_at_fps(curves["all"], fps) for fps in FPS]
    of_groups = [f"{group} {tpr_at_fps(curve, 1.0):.2f}" for group, curve in curves.items() if group != "all"]
    return [name, members, *(f"{rate:.2f}" for rate in rates), ", ".join(of_groups)]


def main() -> None:
    """Plant, detect with all weights, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+", help="NIfTI files; words such as T2, FLAIR, BOLD name contrasts")
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="files of `run training`")
    parser.add_argument("--out", type=Path, required=True, help="folder of cohort and results")
    parser.add_argument("--seed", type=int, default=7001)
    parser.add_argument("--each", type=int, default=2, help="times that each scan is planted into")
    parser.add_argument("--cnr", type=float, default=4, help="least contrast to noise of lesions that count")
    parser.add_argument("--bundle", type=Path, help="folder; the one that came with csvd")
    parser.set_defaults(overlay=(), jobs=1)
    arguments = parser.parse_args()
    cohort = plant(arguments.scans, arguments.out / "cohort", arguments.each, arguments.seed, lesions=12, mimics=6)
    items, original, rows = load_datalist(cohort, "test"), arguments.bundle or find_bundle("cmb_detection"), []
    for number, weights in enumerate(arguments.weights):
        folder = arguments.out / f"{number}_{weights.stem}"
        arguments.bundle, members = bundle_with(weights, original, folder / "cmb_detection")
        found = run_detector(arguments, cohort, folder / "results", any_sequence=True)
        scans = [
            score(item, folder / "results" / one["case"], arguments.cnr) for item, one in zip(items, found, strict=True)
        ]
        rows.append(row_of(weights.name, members, scans))
    lesions = int(sum(scan.counted.sum() for scan in scans))
    print(f"{len(items)} scans, {lesions} lesions, seed {arguments.seed}. Highest TPR at some FPs per scan:\n")
    print(table(["weights", "networks", *(f"{fps:g} FPs" for fps in FPS), "1 FP, by contrast"], rows))


if __name__ == "__main__":
    main()
