"""What the benchmarks share: options of the detector, its results as points, tables, and pictures of detections."""

import argparse
import csv
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from csvd.bundles import find_bundle
from csvd.io import load_datalist
from csvd.metrics.classification import Interval
from csvd.planes import slice_axis
from csvd.workflows.detection import detect

WIDE_MM = 20.0
"""Side of a picture of a detection."""
KINDS = {
    **{"T2": "T2", "T2W": "T2", "FLAIR": "FLAIR", "T1": "T1", "T1W": "T1", "T1C": "T1", "PDW": "PD"},
    **{"BOLD": "EPI", "EPI": "EPI", "FMRI": "EPI", "GRE": "GRE", "MAG": "GRE", "T2STAR": "GRE", "SWI": "SWI"},
    **{"DWI": "DWI", "DWIB0": "DWI", "ADC": "DWI", "ASL": "ASL", "PHASE": "phase"},
}
"""Words in the names of scans, and the contrast that they stand for."""


@dataclass(frozen=True)
class Found:
    """Candidates of a scan: ``points_mm``, ``voxels`` (N, 3), ``probability``, ``kept``, ``ids`` in the map (N,)."""

    points_mm: torch.Tensor
    voxels: torch.Tensor
    probability: torch.Tensor
    kept: torch.Tensor
    ids: torch.Tensor


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which detector is measured: by default that of ``csvd detect``."""
    parser.add_argument("--bundle", type=Path, help="folder; the one that came with csvd")
    parser.add_argument("--overlay", nargs="*", default=(), help="configs over inference.json, for example paper")
    parser.add_argument("--jobs", type=int, default=1, help="scans at a time")


def run_detector(arguments: argparse.Namespace, source: Path, out: Path, **how: Any) -> list[dict[str, Any]]:
    """Return the rows of ``csvd detect`` with the options of :func:`add_detector`; what is there is replaced."""
    bundle = arguments.bundle or find_bundle("cmb_detection")
    return detect(source, out, bundle, overlays=arguments.overlay, jobs=arguments.jobs, overwrite=True, **how)


def read_found(result: Path) -> Found:
    """Return the candidates in the folder of results of a scan; none where it was refused."""
    rows: list[dict[str, str]] = []
    if result.is_dir():
        with (result / f"{result.name}_candidates.tsv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))

    def column(*names: str) -> torch.Tensor:
        return torch.tensor([[float(row[name]) for name in names] for row in rows]).reshape(-1, len(names))

    return Found(
        column("x_mm", "y_mm", "z_mm"),
        column("i", "j", "k").long(),
        column("probability")[:, 0],
        column("kept")[:, 0] > 0,
        column("id")[:, 0].long(),
    )


def items_of(cohort: Path) -> list[dict[str, Any]]:
    """Return the items of all sections of a cohort's data list."""
    path = cohort / "datalist.json"
    sections = [name for name in ("training", "validation", "test") if json.loads(path.read_text()).get(name)]
    return [item for name in sections for item in load_datalist(path, name)]


def contrast_of(name: str) -> str:
    """Return the contrast that the name of a scan, else that of its folder, speaks of, or "other"."""
    for part in reversed(Path(name).parts):
        words = re.split(r"[^A-Z0-9]", part.upper())
        if known := [KINDS[word] for word in words if word in KINDS]:
            return known[0]
    return "other"


def shown(interval: Interval) -> str:
    """Return a value with its interval as tables show it; nothing where it is not known."""
    if math.isnan(interval.value):
        return ""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def draw_sheet(image: Path, voxels: torch.Tensor, titles: Sequence[str], path: Path) -> None:
    """Draw the slice of each voxel (N, 3) of a scan, and 20 mm of it and of its neighbours around it, a row a voxel.

    Of a series the last volume is drawn. Grey values go from 0 to the 99.5th percentile of the slice.
    """
    import matplotlib.pyplot as plt

    scan = nib.load(image)
    volume = np.asarray(scan.dataobj, dtype=np.float32)
    volume = np.nan_to_num(volume.reshape(*volume.shape[:3], -1)[..., -1])
    spacing = nib.affines.voxel_sizes(scan.affine)
    axis = slice_axis(spacing.tolist())
    order = [k for k in range(3) if k != axis] + [axis]
    volume, spacing = volume.transpose(order), spacing[order]
    half = np.ceil(WIDE_MM / 2 / spacing[:2]).astype(int)
    figure, axes = plt.subplots(len(voxels), 4, figsize=(8, 2.2 * len(voxels)), squeeze=False, layout="constrained")
    for row, voxel, title in zip(axes, voxels[:, order].tolist(), titles, strict=True):
        whole = volume[..., voxel[2]]
        bright = max(float(np.percentile(whole, 99.5)), 1e-6)
        parts = [whole, *(_part(volume, voxel, offset, half) for offset in (-1, 0, 1))]
        for place, part, text in zip(row, parts, ("", "slice before", title, "slice after"), strict=True):
            place.set_axis_off()
            place.imshow(part.T, cmap="gray", vmin=0, vmax=bright, origin="lower", aspect=spacing[1] / spacing[0])
            place.set_title(text, fontsize=8)
        row[0].plot(*voxel[:2], "o", markerfacecolor="none", markeredgecolor="red", markersize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _part(volume: np.ndarray, voxel: Sequence[int], offset: int, half: np.ndarray) -> np.ndarray:
    """Return the pixels around a voxel in a slice near it; 0 outside the scan."""
    index = voxel[2] + offset
    if not 0 <= index < volume.shape[2]:
        return np.zeros(2 * half + 1, dtype=volume.dtype)
    padded = np.pad(volume[..., index], [(n, n) for n in half])
    return padded[tuple(slice(v, v + 2 * n + 1) for v, n in zip(voxel, half, strict=False))]
