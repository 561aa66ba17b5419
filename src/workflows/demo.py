"""The demonstration: simulate a scan, detect, and set what was found beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ..checks import InputError
from ..io.tables import read_table
from ..phantom import PROTOCOLS, visible_diameters, write_cohort
from .detection import detect

PRESET, PHENOTYPE = "ukbb", "CADASIL"


def run_demo(
    out: Path, bundle: Path, *, seed: int = 2023, overwrite: bool = False
) -> tuple[list[dict[str, Any]], Path]:
    """Simulate one UK Biobank-like SWI scan, run the bundle on it and compare places and diameters.

    The true diameter is that of what is seen, see :func:`csvd.phantom.visible_diameters`, not that of the deposit.

    Args:
        out: folder of the scan and of the results.
        bundle: folder of the detection bundle.
        seed: of the simulation.
        overwrite: replace an earlier demonstration.

    Returns:
        A row for each true lesion, as in :func:`compare`, whose ``truth`` has ``seen_mm``, None where nothing is seen,
        and the folder of the case's results.
    """
    write_cohort(PRESET, 1, out / "scan", seed, phenotype=PHENOTYPE, split=(0, 0, 1), overwrite=overwrite)
    [row] = detect(out / "scan" / "datalist.json", out / "results", bundle, overwrite=overwrite)
    if row["status"] == "failed":
        raise InputError(row["reason"])
    case = row["case"]
    seen = visible_diameters(PROTOCOLS[PRESET], seed, phenotype=PHENOTYPE)
    truth: list[dict[str, Any]] = [
        {**lesion, "seen_mm": seen.get(int(lesion["id"]))}
        for lesion in read_table(next((out / "scan").glob("sub-*/*_lesions.tsv")))
    ]
    found = read_table(out / "results" / case / f"{case}_lesions.tsv")
    return compare(truth, found), out / "results" / case


def compare(truth: list[dict[str, Any]], found: list[dict[str, Any]], within_mm: float = 5.0) -> list[dict[str, Any]]:
    """Return each true lesion with its nearest candidate within ``within_mm`` of it, if there is one.

    Both tables have columns ``id``, ``x_mm``, ``y_mm``, ``z_mm`` (RAS+ mm). Each row has ``truth``, ``found`` (or
    None) and ``distance_mm``.
    """
    rows: list[dict[str, Any]] = [{"truth": lesion, "found": None, "distance_mm": None} for lesion in truth]
    if not truth or not found:
        return rows
    distance = cdist(_points(truth), _points(found))
    for row, nearest, length in zip(rows, distance.argmin(axis=1), distance.min(axis=1), strict=True):
        if length <= within_mm:
            row.update(found=found[nearest], distance_mm=float(length))
    return rows


def _points(lesions: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[float(lesion[axis]) for axis in ("x_mm", "y_mm", "z_mm")] for lesion in lesions])
