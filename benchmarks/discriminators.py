"""Every discriminator behind the bundle's detector, and Mask R-CNN, on the same subjects: patches and whole scans.

Trains student (with and without teacher), residual and five-block network on the section training of data lists; rates
are of the section test, at the threshold of the best F1 on the section validation.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.engines import load_weights
from csvd.experiments import Study, discriminators
from csvd.experiments.tables import chosen_threshold, rates_row
from csvd.io import DiskCacheDataset, load_datalist
from csvd.io.splits import SECTIONS
from csvd.metrics import FROCMetric


def mask_rcnn(sections: dict[str, list], weights: Path, cache: Path) -> dict:
    """Return the row of Mask R-CNN."""
    bundle, parser = find_bundle("csvd_classification"), ConfigParser()
    parser.read_config([str(bundle / "configs" / f"{name}.json") for name in ("train", "mask_rcnn")])
    parser["bundle_root"] = str(bundle)
    network = parser.get_parsed_content("network").cascade.eval()
    load_weights(network, weights)
    validation, _ = count(parser, network, sections["validation"], "distance", cache)
    test, seconds = count(parser, network, sections["test"], "overlap", cache)
    index = chosen_threshold(validation.counts(), validation.thresholds)
    return {
        "discriminator": "Mask R-CNN, no cascade",
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds per scan": f"{seconds:.1f}",
        **rates_row(test.counts()[:, index], "overlap"),
    }


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
    parser = argparse.ArgumentParser(description=__doc__)
    for section in SECTIONS:
        parser.add_argument(f"--{section}", type=Path, nargs="+", required=True, help="data lists with that section")
    parser.add_argument("--mask-rcnn", type=Path, required=True, help="weights")
    parser.add_argument("--epochs", type=int, required=True, help="of each training")
    parser.add_argument("--samples", type=int, required=True, help="candidates an epoch")
    parser.add_argument("--out", type=Path, required=True, help="folder; what is there is not done again")
    arguments = parser.parse_args()
    sections = {name: load_datalist(getattr(arguments, name), name) for name in SECTIONS}
    row = mask_rcnn(sections, arguments.mask_rcnn, arguments.out / "cache_mask_rcnn")
    settings = {
        "train#trainer#max_epochs": arguments.epochs,
        "student#sampler#num_samples": arguments.samples,
        "train#inferer": {"_target_": "csvd.inferers.AutocastInferer"},  # as configs/bfloat16.json
        "val_interval": 10**6,  # the last weights are taken; thresholds are chosen afterwards
    }
    study = Study(arguments.out, find_bundle("cmb_detection"), settings)
    print((discriminators(study, sections, [row]) / "discriminators.md").read_text())


if __name__ == "__main__":
    main()
