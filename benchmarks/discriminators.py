"""Every discriminator behind the bundle's detector, and Mask R-CNN, on the same subjects: patches and whole scans.

Trains student (with and without teacher), residual and five-block network on the section training of data lists; rates
are of the section test, at the threshold of the best F1 on the section validation.
"""

import argparse
from pathlib import Path

from mask_rcnn import configs, measure_sections, method

from csvd.bundles import find_bundle
from csvd.experiments import Study, discriminators
from csvd.experiments.tables import chosen_threshold, rates_row
from csvd.io import load_datalist
from csvd.io.splits import SECTIONS


def mask_rcnn(sections: dict[str, list], weights: Path, cache: Path) -> dict:
    """Return the row of Mask R-CNN."""
    parser = configs("mask_rcnn")
    counts, _, seconds = measure_sections(sections, method(parser, weights), "Mask R-CNN", cache)
    index = chosen_threshold(counts["validation"].counts(), counts["validation"].thresholds)
    return {
        "discriminator": "Mask R-CNN, no cascade",
        "parameters": sum(p.numel() for p in parser.get_parsed_content("network").cascade.parameters()),
        "seconds per scan": f"{seconds:.1f}",
        **rates_row(counts["test"].counts()[:, index], "overlap"),
    }


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
