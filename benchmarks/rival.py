"""Seconds of microbleednet, the public program of Sundaresan et al., beside ours, on the same scan and machine.

FOLDER is a clone of https://github.com/v-sundaresan/microbleed-detection, with its requirements installed. Its steps
are its own functions: radial symmetry (slice by slice, two radii; ours: in 3-D, four radii), vessels masked and
filled in, and its detection network of 64 features on its patches, without weights, which change no time. Ours is the
published one of the cascade, of 12 features, on the whole brain. The discriminators are left out: their times depend on
the candidates.

    python benchmarks/rival.py FOLDER
"""

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.transforms import DivisiblePad
from steps import once, typical

from csvd.bundles import find_bundle
from csvd.io import Case
from csvd.phantom import write_cohort
from csvd.transforms import FastRadialSymmetry, InpaintMask, VesselMask
from csvd.workflows.runner import BundleRunner, read_config

RADII_MM = (1.6, 2.4, 3.2, 4.8)
PATCH = 48


def their_seconds(folder: Path, image: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """Return the seconds of the steps of microbleednet."""
    sys.path.insert(0, str(folder))
    preparation = import_module("microbleednet.scripts.data_preparation")
    network = import_module("microbleednet.scripts.model_architectures").CDetNet(2, 2, 64).eval()
    with torch.inference_mode():

        def detect() -> None:
            patches = preparation.get_nonoverlapping_patches(
                image, np.zeros_like(image), brain.astype(int), image, PATCH
            )[0]
            for patch in patches:
                network(torch.from_numpy(patch[None]).float()).softmax(dim=1)

        return {
            "radial symmetry": once(lambda: preparation.get_frst_data(image)),
            "vessels masked and filled in": once(lambda: preparation.inpaint_vessels(image, brain)),
            "detection network": once(detect),
        }


def our_seconds(image: torch.Tensor, brain: torch.Tensor) -> dict[str, float]:
    """Return the seconds of the same steps of the cascade."""
    symmetry, vessels, inpaint = FastRadialSymmetry(RADII_MM, unit="mm"), VesselMask(), InpaintMask()
    config = read_config(find_bundle("cmb_detection"), {"contrast": "dark", "sequence": None}, ["paper"])
    network = config.get_parsed_content("network").eval()  # called on a scan it is the detector
    with torch.inference_mode():
        channels = DivisiblePad(k=4)(torch.cat([image, image]))[None]
        return {
            "radial symmetry": typical(lambda: symmetry(image)),
            "vessels masked and filled in": typical(lambda: inpaint(image, vessels(image, brain))),
            "detection network": typical(lambda: network(channels)),
        }


def main() -> None:
    """Simulate a scan and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="clone of microbleednet")
    parser.add_argument("--preset", default="ukbb")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        write_cohort(options.preset, 1, Path(work, "head"), seed=1, phenotype="CADASIL")
        [path] = Path(work, "head").glob("sub-*/*_swi.nii.gz")
        [mask_path] = path.parent.glob("*_mask.nii.gz")
        scan = nib.load(path)
        brain = np.asarray(nib.load(mask_path).dataobj) > 0
        image = scan.get_fdata(dtype=np.float32) * brain
        box = tuple(slice(index.min(), index.max() + 1) for index in np.nonzero(brain))
        image, brain = image[box], brain[box]
        ours = our_seconds(torch.from_numpy(image)[None], torch.from_numpy(brain)[None])
        theirs = their_seconds(options.folder, image.astype(float), brain)
        runner = BundleRunner(find_bundle("cmb_detection"), {"output_dir": f"{work}/out", "overwrite": True})
        whole = typical(lambda: runner(Case("scan", path)))
    print(f"simulated {options.preset} scan, brain of {' x '.join(map(str, image.shape))} voxels, ", end="")
    print(f"{torch.get_num_threads()} threads\n\n| step | csvd, s | microbleednet, s | ratio |\n|---|---|---|---|")
    for step, seconds in theirs.items():
        print(f"| {step} | {ours[step]:.2f} | {seconds:.1f} | {seconds / ours[step]:.0f} |")
    print(
        f"\nThe default detector of csvd takes {whole:.1f} s end to end, brain mask, regions and page included; ",
        end="",
    )
    print(f"these three steps of microbleednet take {sum(theirs.values()):.1f} s.")


if __name__ == "__main__":
    main()
