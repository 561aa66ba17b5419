"""Every discriminator behind the bundle's detector, and Mask R-CNN, on the same subjects: patches and whole scans.

Trains student (with and without teacher), residual and five-block network on the section training of data lists; rates
are of the section test, at the threshold of the best F1 on the section validation. The Dice of the outlines is that of
`outlines_by_network.py`: medians over the lesions found of three subjects of ukbb and three of oxvasc, simulated, as a
network draws them and after the outline stage. With --valdo each cascade also runs on the scans of a challenge, see
`valdo.py`, whatever the sequence gate says of them; no threshold is chosen on these.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from outlines import Scan, simulated
from outlines_by_network import Measured, Pipeline, compare, overlay_of
from scored import shown
from tqdm import tqdm
from valdo import find_scans, score, write_list

from csvd.bundles import find_bundle
from csvd.engines import load_weights
from csvd.experiments import Study, compare_students, discriminators
from csvd.experiments.tables import chosen_threshold, rates_row
from csvd.io import DiskCacheDataset, load_datalist
from csvd.io.files import atomic_path
from csvd.io.splits import SECTIONS
from csvd.metrics import FROCMetric
from csvd.metrics.exact import exact_rates
from csvd.phantom import PROTOCOLS
from csvd.workflows.detection import detect

OUTLINED = ("ukbb", "oxvasc")
SEED = 31
REAL = {"tpr": "real TPR", "fps_per_subject": "real FPs per scan", "f1": "real F1"}
MASK_RCNN = "Mask R-CNN, no cascade"


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a file holds, which is made where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(make()))
    return json.loads(path.read_text())


@dataclass(frozen=True)
class More:
    """Columns of a network that :func:`csvd.experiments.discriminators` does not measure.

    Args:
        out: folder; what is there is not done again.
        subjects: simulated ones of each protocol whose lesions are outlined.
        valdo: folder of the challenge's scans; no such columns without.
    """

    out: Path
    subjects: int
    valdo: Path | None = None

    def __call__(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of a network, from what makes it that of ``inference.json`` with the overlay ``paper``."""
        file = f"{name.replace(' ', '_')}.json"
        columns = kept(self.out / "outlines" / file, lambda: self.outlines(settings))
        if self.valdo is not None:
            columns |= kept(self.out / "valdo" / file, lambda: self.real(name, settings))
        return columns

    @cached_property
    def scans(self) -> list[Scan]:
        """Simulated scans, of which it is known what is seen."""
        return [
            scan
            for preset in OUTLINED
            for index in range(self.subjects)
            for scan in simulated(preset, index, SEED)
            if scan.name in PROTOCOLS[preset].contrasts
        ]

    def outlines(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the median Dice of outlines with what is seen, and of how many lesions."""
        measured: dict[tuple[str, str], Measured] = {}
        network = {"it": Pipeline({"": (Path(settings["weights"]), "")}, ["paper"], settings)}
        for scan in tqdm(self.scans, desc="outlines", disable=None):
            compare(scan, network, measured)
        own, outlined = (measured["it", outline].found for outline in ("its own", "outline stage"))
        columns = {"Dice, own outline": own, "Dice, outline stage": outlined}
        return {
            name: f"{np.median(found, axis=0)[0]:.2f} ({len(found)})" if found else ""
            for name, found in columns.items()
        }

    def real(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the rates on the scans of the challenge, as `valdo.py` counts them."""
        items, results = find_scans(self.valdo), self.out / "valdo" / name.replace(" ", "_")
        source = write_list(items, self.out / "valdo" / "datalist.json")
        how: dict[str, Any] = {"overlays": ["paper"], "settings": settings, "any_sequence": True, "resume": True}
        rows = detect(source, results, find_bundle("cmb_detection"), **how)
        scans = [score(item, results / row["case"]) for item, row in zip(items, rows, strict=True)]
        rates = exact_rates(torch.stack([scan.score.counts["distance"] for scan in scans]))
        refused = sum(scan.refused for scan in scans)
        columns = {"real scans": f"{len(scans)}" + (f", {refused} failed" if refused else "")}
        columns["real lesions"] = str(sum(scan.score.lesions for scan in scans))
        return columns | {column: shown(rates[rate]) for rate, column in REAL.items()}


def mask_rcnn(sections: dict[str, list], weights: Path, trained: str, more: More) -> dict[str, Any]:
    """Return the row of Mask R-CNN, with what is to be known of its training."""

    def measure() -> dict[str, Any]:
        bundle, parser = find_bundle("csvd_classification"), ConfigParser()
        parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("train", "mask_rcnn")])
        parser["bundle_root"] = str(bundle)
        network = parser.get_parsed_content("network").cascade.eval()
        load_weights(network, weights)
        cache = more.out / "cache_mask_rcnn"
        validation, _ = count(parser, network, sections["validation"], "distance", cache)
        test, seconds = count(parser, network, sections["test"], "overlap", cache)
        index = chosen_threshold(validation.counts(), validation.thresholds)
        row = {
            "discriminator": MASK_RCNN,
            "parameters": sum(p.numel() for p in network.parameters()),
            "seconds per scan": f"{seconds:.1f}",
            "best epoch": trained,
            **rates_row(test.counts()[:, index], "overlap"),
        }
        return {"row": row, "threshold": validation.thresholds[index]}

    measured = kept(more.out / "mask_rcnn.json", measure)
    theirs = overlay_of("csvd_classification", "mask_rcnn")
    settings = {
        "network_def": theirs["network_def#cascade"],
        "inferer": theirs["bag#cascade"],
        "clean_up#min_volume_mm3": None,
        "weights": str(weights.resolve()),
        "threshold": measured["threshold"],
    }
    return {**measured["row"], **more(MASK_RCNN, settings)}


def count(
    parser: ConfigParser, network: torch.nn.Module, items: Sequence[dict], match: str, cache: Path
) -> tuple[FROCMetric, float]:
    """Return the lesion counts of Mask R-CNN in scans, and its seconds per scan, without preprocessing."""
    inferer, preprocessing = (parser.get_parsed_content(name) for name in ("bag", "image_transforms"))
    metric, seconds = FROCMetric(match=match), 0.0
    for item in tqdm(DiskCacheDataset(items, Compose(preprocessing), str(cache)), desc=match, disable=None):
        started = time.perf_counter()
        with torch.no_grad():
            found = inferer.cascade(item["image"][None], network)[0, 1:] * (item["mask"] > 0)
        seconds += time.perf_counter() - started
        metric([found], [item["label"]])
    return metric, seconds / len(items)


def main() -> None:
    """Print the table, which is in the folder, with its pictures, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for section in SECTIONS:
        parser.add_argument(f"--{section}", type=Path, nargs="+", required=True, help="data lists with that section")
    parser.add_argument("--mask-rcnn", type=Path, help="weights; no such row without")
    parser.add_argument("--mask-rcnn-training", default="", help="a word on it for the table: '12 of 24, stopped'")
    parser.add_argument("--epochs", type=int, required=True, help="of each training")
    parser.add_argument("--samples", type=int, required=True, help="candidates an epoch")
    parser.add_argument("--candidate-threshold", type=float, default=0.2, help="of the detector; a high one is faster")
    parser.add_argument("--outlined", type=int, default=3, help="subjects of each protocol to outline lesions of")
    parser.add_argument("--valdo", type=Path, help="folder of the challenge's subjects, for columns of real scans")
    parser.add_argument(
        "--distillation", action="store_true", help="print the table of csvd experiment distillation instead"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; what is there is not done again")
    arguments = parser.parse_args()
    sections = {name: load_datalist(getattr(arguments, name), name) for name in SECTIONS}
    settings = {
        "train#trainer#max_epochs": arguments.epochs,
        "student#sampler#num_samples": arguments.samples,
        "candidate_threshold": arguments.candidate_threshold,
        "train#inferer": {"_target_": "csvd.inferers.AutocastInferer"},  # as configs/bfloat16.json
    }
    study = Study(arguments.out, find_bundle("cmb_detection"), settings)
    if arguments.distillation:
        print((compare_students(study, sections) / "distillation.md").read_text())
        return
    more, others = More(arguments.out, arguments.outlined, arguments.valdo), []
    if arguments.mask_rcnn is not None:
        others = [mask_rcnn(sections, arguments.mask_rcnn, arguments.mask_rcnn_training, more)]
    print((discriminators(study, sections, others, more=more) / "discriminators.md").read_text())


if __name__ == "__main__":
    main()
