"""How right the outlines of each network are, as it draws them and after the outline stage, on the same scans.

Mask R-CNN and the paper's teacher, whose weights are not shipped, beside the paper's cascade and the default detector.
Scans are simulated, and truth is what is seen in them, as in `outlines.py`. Lesions of less contrast than three spreads
of what lies around them count neither as lesions nor, where they are found, as others. Medians are over the lesions
that a network found: centres within 5 mm, one to one.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from outlines import Scan, ball, dice, simulated, targets
from scipy import ndimage
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.engines import load_weights
from csvd.experiments.tables import chosen_threshold
from csvd.io import load_datalist
from csvd.metrics import FROCMetric, pair_points
from csvd.phantom import PROTOCOLS
from csvd.workflows.runner import read_config
from csvd.workflows.single_run import SingleRun

OUTLINE = "result_transforms#outline"  # the outline stage of inference.json
TRAINED = ("Mask R-CNN", "teacher as discriminator", "teacher alone")
MEDIANS = ("Dice, seen", "Dice, label", "volume ratio", "diameter error, mm")
COLUMNS = ("network", "outline", "lesions found", "others per scan", *MEDIANS)


@dataclass
class Measured:
    """What was found of the lesions of some scans.

    Args:
        scans: how many.
        lesions: that are seen.
        others: detections that are no lesion.
        found: of each lesion that was found: Dice with what is seen, Dice with the label, volume ratio, and error of
            the diameter in mm.
    """

    scans: int = 0
    lesions: int = 0
    others: int = 0
    found: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, scan: Scan, instances: np.ndarray, volumes: Mapping[int, float] | None = None) -> None:
        """Compare an instance map (H, W, D) with a scan; volumes in mm3 are those of its voxels when not given."""
        truth = {
            int(scan.label[box][marked][0]): (box, seen, volume) for box, seen, marked, *_, volume, _ in targets(scan)
        }
        everything, mine = numbers_of(scan.label), numbers_of(instances)
        pairs = pair_points(centres(instances, mine, scan), centres(scan.label, everything, scan)).tolist()
        self.scans += 1
        self.lesions += len(truth)
        self.others += len(mine) - len(pairs)
        for which, lesion in ((mine[one], everything[other]) for one, other in pairs):
            if lesion not in truth:
                continue
            box, seen, volume = truth[lesion]
            drawn, whole = instances == which, np.zeros(instances.shape, bool)
            whole[box] = seen
            measured = drawn.sum() * scan.spacing.prod() if volumes is None else volumes[which]
            error = abs(ball(measured) - ball(volume))
            self.found.append((dice(drawn, whole), dice(drawn, scan.label == lesion), measured / volume, error))

    def cells(self) -> list[str]:
        """Return the cells of a row: what is found, and medians."""
        medians = [f"{value:.2f}" for value in np.median(self.found, axis=0)] if self.found else ["n/a"] * 4
        return [f"{len(self.found)} of {self.lesions}", f"{self.others / self.scans:.1f}", *medians]


def numbers_of(instances: np.ndarray) -> list[int]:
    """Return the numbers of an instance map."""
    return [int(number) for number in np.unique(instances) if number > 0]


def centres(instances: np.ndarray, numbers: list[int], scan: Scan) -> torch.Tensor:
    """Return the centres of mass (N, 3) of instances, in mm."""
    voxels = np.reshape(ndimage.center_of_mass(instances > 0, instances, numbers), (-1, 3))
    return torch.from_numpy(voxels * scan.spacing)


class Pipeline:
    """A network with all that inference.json does before and after it.

    Args:
        weights: of each part of the network, "" for the whole: a file, and how the names of that part begin in it.
        overlays: over inference.json.
        settings: by config id.
    """

    def __init__(
        self,
        weights: Mapping[str, tuple[Path, str]],
        overlays: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.parser = read_config(find_bundle("cmb_detection"), settings or {}, overlays)
        drawn = {"_target_": "CopyItemsd", "keys": ["pred", "prob"], "times": 1, "names": ["drawn", "said"]}
        self.parser[OUTLINE] = {"_target_": "Compose", "transforms": [drawn, self.parser[OUTLINE]]}
        self.parser["handlers"] = []
        self.single_run = SingleRun(self.parser)
        network = self.parser.get_parsed_content("network")
        for part, (path, prefix) in weights.items():
            load_weights(network.get_submodule(part), path, prefix)

    def __call__(self, image: str, mask: str) -> dict[str, Any]:
        """Return what is found: ``drawn`` by the network, ``pred`` and ``outlines`` after the outline stage."""
        self.parser["sequence"] = "SWI" if "_swi" in Path(image).name else None  # as the gate would say
        with self.single_run({"image": image, "mask": mask}) as evaluator:
            evaluator.run()
            return evaluator.state.output[0]

    def choose_threshold(self, validation: Sequence[Mapping[str, str]]) -> float:
        """Set and return the threshold of the best F1, by distance, on items with image, mask and label."""
        metric = FROCMetric()
        for item in tqdm(validation, desc="validation", disable=None):
            label = torch.from_numpy(np.asarray(nib.load(item["label"]).dataobj) > 0)
            metric([self(item["image"], item["mask"])["said"].cpu()], [label[None].float()])
        threshold = metric.thresholds[chosen_threshold(metric.counts(), metric.thresholds)]
        self.parser["threshold"] = threshold
        return threshold


def pipelines(mask_rcnn: Path, teacher: Path) -> dict[str, Pipeline]:
    """Return the networks by name."""
    models, teachers = find_bundle("cmb_detection") / "models", "network_def#discriminator"
    theirs = overlay_of("csvd_classification", "mask_rcnn")
    in_place = {"network_def": theirs["network_def#cascade"], "inferer": theirs["bag#cascade"]}
    in_place |= {"clean_up#min_volume_mm3": None, "threshold": 0.5}
    overlay = {teachers: overlay_of("cmb_detection", "evaluate_teacher")[teachers], "threshold": 0.5}
    shipped = models / "paper" / "model.pt"
    first, discriminator = {"detector": (shipped, "detector.")}, {"discriminator": (teacher, "")}
    return {
        "Mask R-CNN": Pipeline({"": (mask_rcnn, "")}, ["paper"], in_place),
        "teacher as discriminator": Pipeline(first | discriminator, ["paper"], overlay),
        "teacher alone": Pipeline({"detector": (teacher, "segmentor.")} | discriminator, ["paper"], overlay),
        "cascade": Pipeline({"": (shipped, "")}, ["paper"]),
        "default detector": Pipeline({"": (models / "model.pt", "")}),
    }


def overlay_of(bundle: str, name: str) -> dict[str, Any]:
    """Return the content of a config."""
    return json.loads((find_bundle(bundle) / "configs" / f"{name}.json").read_text())


def saved(scan: Scan, folder: Path) -> tuple[str, str]:
    """Write a scan and its brain mask; return their files."""
    paths = []
    for name, volume in {scan.name: scan.image, "mask": scan.mask.astype(np.uint8)}.items():
        paths.append(str(folder / f"sub-01_{name}.nii.gz"))
        nib.save(nib.Nifti1Image(volume, np.diag([*scan.spacing, 1.0])), paths[-1])
    return paths[0], paths[1]


def compare(scan: Scan, networks: Mapping[str, Pipeline], measured: dict[tuple[str, str], Measured]) -> None:
    """Add what the networks find in a scan to what was measured, by network and outline."""
    with tempfile.TemporaryDirectory() as folder:
        files = saved(scan, Path(folder))
        for name, find in networks.items():
            found = find(*files)
            drawn, outlined = (found[key][0].numpy(force=True).astype(int) for key in ("drawn", "pred"))
            sizes = dict(zip(found["outlines"].ids.tolist(), found["outlines"].volume_mm3.tolist(), strict=True))
            measured.setdefault((name, "its own"), Measured()).add(scan, drawn)
            measured.setdefault((name, "outline stage"), Measured()).add(scan, outlined, sizes)


def print_table(measured: Mapping[tuple[str, str], Measured]) -> None:
    """Print a row for each network and outline."""
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for names, one in measured.items():
        print(f"| {' | '.join([*names, *one.cells()])} |")


def main() -> None:
    """Print the table, and the thresholds that were chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mask-rcnn", type=Path, required=True, help="weights")
    parser.add_argument("--teacher", type=Path, required=True, help="weights")
    parser.add_argument("--validation", type=Path, nargs="+", required=True, help="data lists, for their thresholds")
    parser.add_argument("--presets", nargs="+", choices=PROTOCOLS, default=("ukbb", "oxvasc"))
    parser.add_argument("--subjects", type=int, default=3, help="of each preset")
    parser.add_argument("--seed", type=int, default=31)
    arguments = parser.parse_args()
    networks = pipelines(arguments.mask_rcnn, arguments.teacher)
    items = load_datalist(arguments.validation, "validation")
    chosen = {name: networks[name].choose_threshold(items) for name in TRAINED}
    measured: dict[tuple[str, str], Measured] = {}
    work = [(preset, index) for preset in arguments.presets for index in range(arguments.subjects)]
    for preset, index in tqdm(work, desc="test", disable=None):
        for scan in simulated(preset, index, arguments.seed):
            if scan.name in PROTOCOLS[preset].contrasts:
                compare(scan, networks, measured)
    del measured["default detector", "its own"]  # points
    print_table(measured)
    print(f"\nThresholds: {', '.join(f'{name} {value:.2f}' for name, value in chosen.items())}, the others as shipped.")


if __name__ == "__main__":
    main()
