"""How seconds and memory of ``csvd detect`` grow with the voxels of a scan, and with its candidates.

Voxels: one simulated head, resampled to five voxel sizes; each is a run of its own process (``speed.py``). Candidates:
10 to 3000 points of the middle scan, classified, outlined and written to a table. The exponent is the slope of a line
through the logarithms: 1 is linear growth.

    python benchmarks/growth.py --out growth
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import speed
import torch

VOXELS = {  # voxels and mm of a voxel, the same field of view
    "0.9": ((104, 116, 24), (1.8, 1.8, 6.0)),
    "1.8": ((130, 146, 30), (1.44, 1.44, 4.8)),
    "3.5": ((256, 288, 48), (0.8, 0.8, 3.0)),
    "7": ((320, 360, 60), (0.64, 0.64, 2.4)),
    "14": ((400, 450, 78), (0.51, 0.51, 1.85)),
}
CANDIDATES = (10, 30, 100, 300, 1000, 3000)


def exponent(sizes: list[float], seconds: list[float]) -> float:
    """Return by which power the seconds grow with the size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def by_voxels(work: Path, source: Path) -> list[tuple[float, float, float]]:
    """Return millions of voxels, seconds and peak megabytes of scans of five sizes."""
    rows = []
    speed.SHAPES.update(VOXELS)
    for name, (shape, _) in VOXELS.items():
        scan = work / f"{name}_swi.nii.gz"
        speed.head_of(name, source, scan)
        command = [sys.executable, speed.__file__, "--repeats", "3", "--one", str(scan), str(torch.get_num_threads())]
        out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=os.environ).stdout
        whole = json.loads(out.splitlines()[-1])[speed.SCAN]
        rows.append((np.prod(shape) / 1e6, whole["seconds"], whole["megabytes"]))
        print(f"| {rows[-1][0]:.1f} | {whole['seconds']:.2f} | {whole['megabytes']:.0f} |", flush=True)
    return rows


def by_candidates(source: Path) -> list[tuple[float, float]]:
    """Return numbers of candidates, and the seconds that they take from patch to table."""
    import nibabel as nib

    from csvd.bundles import find_bundle
    from csvd.inferers.patch_detector import PatchDetector
    from csvd.lesions.table import lesion_table
    from csvd.networks import PatchEnsemble
    from csvd.transforms import fine_grid, to_fine
    from csvd.workflows.runner import read_config

    parser = read_config(find_bundle("cmb_detection"), {"contrast": "dark", "sequence": None})
    network: PatchEnsemble = parser.get_parsed_content("network").eval()
    scan = nib.load(source)
    image = torch.from_numpy(scan.get_fdata(dtype=np.float32))
    spacing = [float(mm) for mm in scan.header.get_zooms()]
    points = torch.nonzero(image > image.median())
    rows = []
    for number in CANDIDATES:
        chosen = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:number]]
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            fine = fine_grid(image, spacing[:2])
            with torch.inference_mode():
                odds = PatchDetector().classify(fine, to_fine(chosen, image.shape, fine.shape), spacing[2], network)
            labels = torch.zeros(1, *image.shape, dtype=torch.int32)
            labels[0, chosen[:, 0], chosen[:, 1], chosen[:, 2]] = torch.arange(1, number + 1, dtype=torch.int32)
            prob = torch.zeros(1, *image.shape)
            prob[0, chosen[:, 0], chosen[:, 1], chosen[:, 2]] = odds.sigmoid()
            lesion_table(labels, prob, scan.affine)
            seconds.append(time.perf_counter() - started)
        rows.append((number, float(np.median(seconds))))
        print(f"| {number} | {rows[-1][1]:.2f} |", flush=True)
    return rows


def draw(voxels: list, candidates: list, path: Path) -> None:
    """Draw both, with a line of linear growth."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    size, seconds, megabytes = (np.array(column) for column in zip(*voxels, strict=True))
    number, spent = (np.array(column) for column in zip(*candidates, strict=True))
    for axes, x, y, label in (
        (left, size, seconds, "million voxels"),
        (middle, size, megabytes, "million voxels"),
        (right, number, spent, "candidates"),
    ):
        axes.loglog(x, y, "o-", label="measured")
        axes.loglog(x, y[-1] * x / x[-1], "--", color="0.6", label="linear")
        axes.set(xlabel=label, ylabel="peak memory, MB" if axes is middle else "seconds")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the picture and the numbers")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        from csvd.phantom import write_cohort

        write_cohort("ukbb", 1, Path(folder) / "head", seed=1, phenotype="CADASIL")
        [source] = Path(folder, "head").glob("sub-*/*_swi.nii.gz")
        print("| million voxels | seconds | peak memory, MB |\n|---|---|---|")
        voxels = by_voxels(Path(folder), source)
        print("\n| candidates | seconds |\n|---|---|")
        candidates = by_candidates(source)
    grown = exponent([row[0] for row in voxels], [row[1] for row in voxels])
    print(f"\nSeconds grow with the voxels to the power of {grown:.2f}", end="")
    print(f" and with the candidates to that of {exponent(*map(list, zip(*candidates, strict=True))):.2f}.")
    draw(voxels, candidates, options.out / "growth.png")
    (options.out / "growth.json").write_text(json.dumps({"voxels": voxels, "candidates": candidates}, indent=1))


if __name__ == "__main__":
    main()
