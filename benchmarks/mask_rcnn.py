"""The cascade beside Mask R-CNN on the same scans: lesion-wise rates, how well outlines agree, seconds per scan.

Thresholds are chosen by distance on the sections validation of data lists; rates, by overlap, are of the sections test.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.data import Dataset
from monai.transforms import Compose
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.engines import load_weights
from csvd.experiments.tables import INTERVAL, chosen_threshold
from csvd.io import DiskCacheDataset, load_datalist
from csvd.metrics import FROCMetric, lesion_overlaps, pooled_rates, summarize_cohort
from csvd.transforms import lesion_instances

RATES = ("recall", "FPs per subject", "Dice", "box IoU", "recall at Dice > 0.5")
COLUMNS = ("detector", "operating point", "threshold", "lesions", *RATES, "seconds per scan")
Method = Callable[[torch.Tensor], torch.Tensor]


def configs(*overlays: str) -> ConfigParser:
    """Return the configs of the classification bundle."""
    bundle = find_bundle("csvd_classification")
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("train", *overlays)])
    parser["bundle_root"] = str(bundle)
    return parser


def method(parser: ConfigParser, weights: Path) -> Method:
    """Return what makes of a scan (1, C, H, W, D) the probability of its objects (1, H, W, D)."""
    inferer, network = parser.get_parsed_content("bag").cascade, parser.get_parsed_content("network").cascade
    load_weights(network.eval(), weights)
    return lambda scan: inferer(scan, network)[0, 1:]


def measure(scans: Dataset, find: Method, name: str, match: str) -> tuple[FROCMetric, list, float]:
    """Return the lesion counts, maps with labels, and the seconds per scan."""
    metric, maps, seconds = FROCMetric(match=match), [], 0.0
    for item in tqdm(scans, desc=name, disable=None):
        started = time.perf_counter()
        with torch.no_grad():
            found = find(item["image"][None]) * (item["mask"] > 0)
        seconds += time.perf_counter() - started
        metric([found], [item["label"]])
        maps.append((found, item["label"]))
    return metric, maps, seconds / len(scans)


def measure_sections(
    items: dict[str, list], find: Method, name: str, cache: Path
) -> tuple[dict[str, FROCMetric], list, float]:
    """Return the lesion counts of validation, by distance, and test, by overlap; maps and seconds of the test."""
    preprocessing = Compose(configs().get_parsed_content("image_transforms"))
    counts = {}
    for section, match in (("validation", "distance"), ("test", "overlap")):
        scans = DiskCacheDataset(items[section], preprocessing, str(cache))
        counts[section], maps, seconds = measure(scans, find, f"{name}, {section}", match)
    return counts, maps, seconds


def main() -> None:
    """Print two rows for each method: at the best F1, and at the lowest threshold with at most 2 FPs per subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validation", type=Path, nargs="+", required=True, help="data lists with that section")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="data lists with that section")
    parser.add_argument("--mask-rcnn", type=Path, required=True, help="weights")
    parser.add_argument("--cache", type=Path, required=True, help="folder of preprocessed scans")
    arguments = parser.parse_args()
    sections = {name: load_datalist(getattr(arguments, name), name) for name in ("validation", "test")}
    methods = {
        "cascade": method(configs(), find_bundle("cmb_detection") / "models" / "paper" / "model.pt"),
        "Mask R-CNN": method(configs("mask_rcnn"), arguments.mask_rcnn),
    }
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name, find in methods.items():
        counts, maps, seconds = measure_sections(sections, find, name, arguments.cache)
        validated = counts["validation"].counts()
        points = {
            "best F1": chosen_threshold(validated, counts["validation"].thresholds),
            "2 FPs": int((pooled_rates(validated.transpose(0, 1))["fps_per_subject"] <= 2).nonzero().min()),
        }
        for point, index in points.items():
            summary = summarize_cohort(counts["test"].counts()[:, index], match="overlap")
            threshold = counts["test"].thresholds[index]
            overlaps = [lesion_overlaps(lesion_instances(found, threshold), label) for found, label in maps]
            dice, iou = (torch.cat([getattr(one, part) for one in overlaps]) for part in ("dice", "box_iou"))
            rates = [INTERVAL.format(**summary[rate]) for rate in ("tpr", "fps_per_subject")]
            means = [f"{float(value):.2f}" for value in (dice.mean(), iou.mean(), (dice > 0.5).double().mean())]
            shown = [name, point, f"{threshold:.2f}", str(summary["lesions"]), *rates, *means, f"{seconds:.1f}"]
            print(f"| {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
