"""The overlay ``native_grid.json``: microbleeds on the scanner's own grid, whatever its spacing and orientation."""

import csv

import nibabel as nib
import numpy as np
import pytest
from geometry import planted_scan

from csvd.bundles import find_bundle
from csvd.detection import detect

BUNDLE = find_bundle("cmb_detection")
OVERLAY = BUNDLE / "configs" / "native_grid.json"
GRIDS = {
    "thick slices": {"voxel_mm": (0.6, 0.6, 4.0), "shape": (180, 200, 24)},
    "stored LPS, sagittal": {"axcodes": "PSR", "voxel_mm": (1.0, 1.0, 3.0), "shape": (112, 92, 32)},
    "isotropic, oblique": {"voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 20.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS)
def test_lesion_is_found_at_its_place_on_the_grid_of_the_scan(tmp_path, grid):
    planted = planted_scan(**GRIDS[grid], radius_mm=2.0)
    nib.save(planted.image, tmp_path / "scan.nii.gz")
    [row] = detect(tmp_path / "scan.nii.gz", tmp_path / "out", BUNDLE, overlays=[OVERLAY], any_sequence=True)
    assert row["status"] == "ok"
    assert row["settings"]["detector"] == "native grid"
    with (tmp_path / "out" / "scan" / "scan_candidates.tsv").open() as file:
        rows = sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: -float(row["probability"]))
    best = np.array([float(rows[0][f"{axis}_mm"]) for axis in "xyz"])
    assert np.linalg.norm(best - planted.lesion_world_mm) <= 1.5
    result = nib.load(tmp_path / "out" / "scan" / "scan_cmb.nii.gz")
    assert np.array_equal(result.affine, planted.image.affine)


def test_overlay_that_is_not_there_is_named(csvd, tmp_path, save_scan):
    code, _, errors = csvd("detect", save_scan(), "--overlay", tmp_path / "none.json", "--out", tmp_path / "out")
    assert (code, "none.json' does not exist" in errors[0]) == (2, True)
