"""Seconds of each step of the paper's cascade on a simulated UK Biobank scan, beside straightforward versions of it.

The scan has 256 x 288 x 48 voxels. All run in this process, one after the other: ours as the median of three runs after
a first one, the straightforward ones of ``plain.py`` once. Straightforward for the network is patches of 48 x 48 x 48
that overlap by half; end to end is our pipeline with its radial symmetry and network exchanged for these. Below the
table: the default detector.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import plain
import torch
from monai.inferers import sliding_window_inference
from monai.transforms import CropForegroundd

from csvd.bundles import find_bundle
from csvd.io import Case
from csvd.phantom import write_cohort
from csvd.transforms import FastRadialSymmetry, VesselMask
from csvd.workflows.runner import BundleRunner

RADII_MM = (1.6, 2.4, 3.2, 4.8)


def once(step: Callable[[], object]) -> float:
    """Return the wall time of ``step``, in seconds."""
    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def typical(step: Callable[[], object]) -> float:
    """Return the median wall time of three runs of ``step`` after a first one, in seconds."""
    step()
    return median(once(step) for _ in range(3))


def time_steps(case: Case, detector: BundleRunner) -> None:
    """Print a row a step and device for one scan."""
    parser = detector.single_run("dark", None).parser
    preprocessing = parser.get_parsed_content("preprocessing")
    item = preprocessing(case.item())
    # On the scan's own grid again: the pipeline crops to the brain, and that alone would make ours faster.
    crop = next(step for step in preprocessing.transforms if isinstance(step, CropForegroundd))
    item = crop.inverse(item)
    volume, brain = item["image"][:1], item["mask"]
    array, inside, spacing = volume[0].numpy(), brain[0].numpy() > 0, volume.pixdim.tolist()
    symmetry, vessels, network = (
        FastRadialSymmetry(RADII_MM, unit="mm"),
        VesselMask(),
        parser.get_parsed_content("network").eval(),
    )
    channels = torch.cat([volume, symmetry(volume)])[None].as_tensor()

    theirs = {
        "radial symmetry": once(lambda: plain.radial_symmetry(array, RADII_MM, spacing)),
        "vessel mask": once(lambda: plain.vessels(array, inside, spacing)),
        "network": once(lambda: sliding_window_inference(channels, (48, 48, 48), 1, network.cpu(), overlap=0.5)),
    }
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        place = torch.device(device)
        image, mask, batch, network = volume.to(place), brain.to(place), channels.to(place), network.to(place)
        ours = {
            "radial symmetry": typical(lambda x=image: symmetry(x)),
            "vessel mask": typical(lambda x=image, m=mask: vessels(x, m)),
            "network": typical(lambda x=batch, n=network: n(x)),
        }
        for step, seconds in ours.items():
            print_row(step, device, seconds, theirs[step])
    # The detector runs on CUDA where there is one, and so did the last of these.
    whole = typical(lambda: detector(case))
    exchanged = sum(theirs[step] - ours[step] for step in ("radial symmetry", "network"))
    print_row("end to end", device, whole, whole + exchanged)


def print_row(step: str, device: str, ours: float, theirs: float) -> None:
    """Print a row of the table."""
    print(f"| {step} | {device} | {ours:.3f} | {theirs:.1f} | {theirs / ours:.1f} |", flush=True)


def main() -> None:
    """Simulate a scan and print the table."""
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, ", end="")
    print(f"torch {torch.__version__}, numpy {np.__version__}")
    if torch.cuda.is_available():
        print(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    print("\n| step | device | ours, s | straightforward, s | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        write_cohort("ukbb", 1, Path(folder) / "scan", seed=1, phenotype="CADASIL")
        scan = next((Path(folder) / "scan").glob("sub-*/*_swi.nii.gz"))
        bundle, case = find_bundle("cmb_detection"), Case("scan", scan)
        settings = {"output_dir": f"{folder}/results", "overwrite": True}
        time_steps(case, BundleRunner(bundle, settings, overlays=["paper"]))
        default = BundleRunner(bundle, settings)
        print(f"\nThe default detector takes {typical(lambda: default(case)):.1f} s, end to end.")


if __name__ == "__main__":
    main()
