"""What the tests of the benchmarks share: benchmarks as modules, the cells of their tables, and scans made by hand."""

import csv
import importlib.util
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from geometry import planted_scan, sphere_fraction
from small_bundle import SHAPE, VOXEL_MM

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FIRST, SECOND = (6.0, 8.0, 30.0), (-14.0, 2.0, 22.0)


def load(name):
    """Import a benchmark by its name; one of the test modules may have the same."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))  # they import each other
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_benchmark(name, arguments, monkeypatch, capsys):
    """Run a benchmark and return the cells of its tables, by the first cell of a row."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    load(name).main()
    return rows_of(capsys.readouterr().out)


def rows_of(text):
    """The rows of the tables of a text, by their first cell; the same name twice gives that of the last."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return {first: rest for first, *rest in cells}


def scan(path, where=FIRST, radius_mm=5.0):
    """Write a scan with one microbleed, and return its label, (H, W, D) bool, and its affine."""
    image = planted_scan(shape=SHAPE, voxel_mm=VOXEL_MM, lesion_world_mm=where, radius_mm=radius_mm).image
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return sphere_fraction(image.affine, SHAPE, where, radius_mm) > 0.5, image.affine


def save(path, volume, affine, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(volume).astype(dtype), affine), path)
    return path


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0]], delimiter="\t")
        table.writeheader()
        table.writerows(rows)


def save_task2(root):
    """Three scans in the layout of VALDO: one found, one found of two, one false positive."""
    for subject, marked in (("sub-101", (FIRST,)), ("sub-102", (FIRST, SECOND)), ("sub-301", ())):
        folder = root / subject
        _, affine = scan(folder / f"{subject}_space-T2S_desc-masked_T2S.nii.gz")
        label = sum(sphere_fraction(affine, SHAPE, where, 5.0) > 0.5 for where in marked) + np.zeros(SHAPE)
        save(folder / f"{subject}_space-T2S_CMB.nii.gz", label, affine)
    return root
