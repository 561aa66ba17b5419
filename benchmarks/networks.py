"""Ways to run the detector's network on the candidates of a scan: seconds, and how far probabilities move.

A simulated UK Biobank head, all its candidates in batches of 128, all members of the ensemble. Each way runs three
times after a first run, whose seconds, with what is compiled, stand in the last column. "As in csvd detect" asks the
other members only where the first is not sure.

    python benchmarks/networks.py
"""

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nibabel as nib
import torch

from csvd.bundles import find_bundle
from csvd.inferers.foci import find_foci
from csvd.networks import PatchEnsemble
from csvd.phantom import write_cohort
from csvd.transforms import context_patches, fine_grid, to_fine
from csvd.transforms.brain.brain_mask import find_brain
from csvd.transforms.brain.close_mask import close_mask
from csvd.transforms.intensity.dark_contrast import dark_contrast
from csvd.workflows.runner import read_config

BATCH = 128
Odds = Callable[[torch.Tensor], torch.Tensor]


def load_network() -> PatchEnsemble:
    """Return the released network with its weights."""
    bundle = find_bundle("cmb_detection")
    network: PatchEnsemble = read_config(bundle, {"contrast": "dark", "sequence": None}).get_parsed_content("network")
    network.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    return network.eval()


def cut_patches() -> torch.Tensor:
    """Return the patches of all candidates of a simulated scan, (N, 5, 48, 48)."""
    with tempfile.TemporaryDirectory() as folder:
        write_cohort("ukbb", 1, Path(folder) / "head", seed=1, phenotype="CADASIL")
        [path] = Path(folder, "head").glob("sub-*/*_swi.nii.gz")
        scan = nib.load(path)
        image = torch.from_numpy(scan.get_fdata(dtype="float32"))
    spacing = tuple(float(mm) for mm in scan.header.get_zooms())
    mask = close_mask(find_brain(image, torch.from_numpy(scan.affine)), spacing)
    image = dark_contrast(image, mask)
    fine = fine_grid(image, spacing[:2])
    points = find_foci(image, mask, spacing).points
    return context_patches(fine, to_fine(points, image.shape, fine.shape), spacing[2])


def in_bfloat16(odds: Odds) -> Odds:
    """Return the same under automatic mixed precision."""

    def run(patches: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return odds(patches).float()

    return run


def channels_last(patches: torch.Tensor) -> torch.Tensor:
    """Return patches with the channels of a pixel side by side."""
    return patches.contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Measure and print."""
    network, patches = load_network(), cut_patches()
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    ways: dict[str, tuple[Odds, Callable[[torch.Tensor], torch.Tensor]]] = {
        "float32": (network.odds, torch.Tensor.contiguous),
        "float32, channels last": (network.odds, channels_last),
        "float32, channels last, weights too": (last.odds, channels_last),
        "as in `csvd detect`": (network.quick_odds, channels_last),
        "bfloat16, channels last": (in_bfloat16(network.odds), channels_last),
        "torch.compile": (torch.compile(network.odds, dynamic=True), torch.Tensor.contiguous),
    }
    print(f"{len(patches)} candidates, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| way | seconds | largest change of a probability | the same from 0.01 on | first run, s |")
    print("|---|---|---|---|---|")
    expected = None
    with torch.inference_mode():
        for name, (odds, layout) in ways.items():
            batches = [layout(batch) for batch in patches.split(BATCH)]
            seconds = []
            for _ in range(4):
                started = time.perf_counter()
                found = torch.cat([odds(batch) for batch in batches])
                seconds.append(time.perf_counter() - started)
            probability = network.calibrate(found).sigmoid()
            expected = probability if expected is None else expected
            change = (probability - expected).abs()
            high = change[expected >= 0.01].max() if (expected >= 0.01).any() else change.new_zeros(())
            print(
                f"| {name} | {median(seconds[1:]):.2f} | {change.max():.1e} | {high:.1e} | {seconds[0]:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
