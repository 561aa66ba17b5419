"""Ways to run the detector's network on the candidates of a scan: seconds, and how far probabilities move.

A simulated UK Biobank head, all its candidates in batches of 128, all members of the ensemble. Each way runs three
times after a first run, whose seconds, with what is compiled, stand in the last column. "As in csvd detect" asks the
other members only where the first is not sure. "8 bits" is static quantisation by ONNX Runtime, calibrated on every
fifth patch. "Decided otherwise" counts candidates on the other side of the threshold of best F1.

    python benchmarks/networks.py
"""

import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from torch import nn

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
Run = Callable[[torch.Tensor], torch.Tensor]


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


def in_bfloat16(odds: Run) -> Run:
    """Return the same under automatic mixed precision."""

    def run(patches: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return odds(patches).float()

    return run


class Odds(nn.Module):
    """The log-odds of all members, for export."""

    def __init__(self, network: PatchEnsemble) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return log-odds (N,)."""
        return self.network.odds(patches)


class Calibration(CalibrationDataReader):
    """Batches of patches, from which the ranges of values are taken."""

    def __init__(self, patches: torch.Tensor) -> None:
        self.batches = iter(patches.split(BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return a batch, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {"patches": batch.numpy()}


def in_onnx_runtime(path: Path) -> Run:
    """Return the log-odds as ONNX Runtime computes them, on as many threads as PyTorch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda patches: torch.from_numpy(session.run(None, {"patches": patches.numpy()})[0])


def channels_last(patches: torch.Tensor) -> torch.Tensor:
    """Return patches with the channels of a pixel side by side."""
    return patches.contiguous(memory_format=torch.channels_last)


def export(network: PatchEnsemble, patches: torch.Tensor, folder: Path) -> tuple[Path, Path]:
    """Write the network as ONNX, and quantised to 8 bits, and return both paths."""
    whole, small = folder / "network.onnx", folder / "network_int8.onnx"
    batch = torch.export.Dim("batch", min=2)
    torch.onnx.export(
        Odds(network).eval(), (patches[:2],), whole, input_names=["patches"], dynamic_shapes=[{0: batch}], verbose=False
    )
    quantize_static(whole, small, Calibration(patches[::5]), per_channel=True)
    return whole, small


def ways(network: PatchEnsemble, whole: Path, small: Path) -> dict[str, tuple[Run, Run]]:
    """Return by name how log-odds are computed, and how the patches lie in memory for it."""
    plain, last = torch.Tensor.contiguous, copy.deepcopy(network).to(memory_format=torch.channels_last)
    return {
        "float32": (network.odds, plain),
        "float32, channels last": (network.odds, channels_last),
        "float32, channels last, weights too": (last.odds, channels_last),
        "as in `csvd detect`": (network.quick_odds, channels_last),
        "bfloat16, channels last": (in_bfloat16(network.odds), channels_last),
        "torch.compile": (torch.compile(network.odds, dynamic=True), plain),
        "ONNX Runtime": (in_onnx_runtime(whole), plain),
        "ONNX Runtime, 8 bits": (in_onnx_runtime(small), plain),
    }


def main() -> None:
    """Measure and print."""
    network, patches = load_network(), cut_patches()
    points = json.loads((find_bundle("cmb_detection") / "models/operating_points.json").read_text())
    threshold = points["operating_points"]["best_f1"]["threshold"]
    print(f"{len(patches)} candidates, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(
        "| way | seconds | largest change of a probability | the same from 0.01 on | decided otherwise | first run, s |"
    )
    print("|---|---|---|---|---|---|")
    expected = None
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for name, (odds, layout) in ways(network, *export(network, patches, Path(folder))).items():
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
            turned = int(((probability >= threshold) != (expected >= threshold)).sum())
            cells = f"{change.max():.1e} | {high:.1e} | {turned} of {int((expected >= threshold).sum())}"
            print(f"| {name} | {median(seconds[1:]):.2f} | {cells} | {seconds[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
