"""What is reported of drawn lesions, through the whole inference config: size, number, and what is too large."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import planted_scan, sphere_fraction
from small_bundle import BUNDLES
from test_patch_detector import Darkness

from csvd.io import read_rows
from csvd.report.cohort_page import cohort_page
from csvd.workflows.cohort import report as write_report
from csvd.workflows.detection import detect

LESIONS = {
    "small": ((24.0, 8.0, 30.0), 1.5),
    "usual": ((-12.0, 14.0, 20.0), 2.25),
    "one of two": ((4.0, -30.0, 8.0), 2.0),
    "other of two": ((4.0, -26.0, 8.0), 2.0),
    "large": ((-12.0, -12.0, 13.0), 6.0),
}
"""Centre in RAS+ mm, and radius in mm."""
GRIDS = {
    "thick, oblique": {"axcodes": "RAS", "voxel_mm": (0.8, 0.8, 2.5), "shape": (120, 140, 40), "oblique_degrees": 12.0},
    "thick, sagittal": {"axcodes": "PSR", "voxel_mm": (0.8, 0.8, 2.5), "shape": (140, 110, 40)},
    "isotropic": {"axcodes": "LAS", "voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 20.0},
}


class DarkEnough(Darkness):
    """In place of a trained network: what is half as dark as the tissue is a microbleed, the darkest the surest."""

    def __init__(self, members=2):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))

    def quick_odds(self, patches):
        return 20 * (0.8 - patches[:, 2, 23:26, 23:26].amin((1, 2)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The detection bundle but for the network that classifies candidates."""
    folder = tmp_path_factory.mktemp("bundle") / "cmb_detection"
    shutil.copytree(BUNDLES / "cmb_detection", folder)
    config = json.loads((folder / "configs" / "inference.json").read_text())
    config |= {"network_def": {"_target_": "test_outlined_results.DarkEnough"}, "threshold": 0.5}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(DarkEnough().state_dict(), folder / "models" / "model.pt")
    return folder


def draw(folder, grid, contrast):
    """Save a scan with the lesions drawn into it, and the brain mask; return their paths."""
    planted = planted_scan(**GRIDS[grid], radius_mm=0.01)
    affine, tissue = planted.image.affine, planted.image.get_fdata()
    brain, image = tissue > 0, tissue.copy()
    for centre, radius in LESIONS.values():
        image *= 1 - 0.7 * sphere_fraction(affine, image.shape, centre, radius)
    if contrast == "bright":
        image = np.where(brain, (600 - image) / 2000, 0)  # ppm
    nib.save(nib.Nifti1Image(image.astype(np.float32), affine), folder / "sub-01_swi.nii.gz")
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), affine), folder / "mask.nii.gz")
    return folder / "sub-01_swi.nii.gz", folder / "mask.nii.gz"


@dataclass
class Found:
    """What came of a scan: its contrast, the folder of its results, and the table of lesions."""

    contrast: str
    case: Path
    rows: list


def point(row):
    return np.array([float(row[f"{axis}_mm"]) for axis in "xyz"])


def nearest(rows, name):
    """Return the row of a table that is nearest to a lesion."""
    return min(rows, key=lambda row: np.linalg.norm(point(row) - LESIONS[name][0]))


@pytest.fixture(scope="module", params=[(grid, "dark") for grid in GRIDS] + [("thick, oblique", "bright")])
def found(request, bundle, tmp_path_factory):
    """What comes of a scan, for each grid, and once for QSM."""
    grid, contrast = request.param
    folder = tmp_path_factory.mktemp("scan")
    scan, mask = draw(folder, grid, contrast)
    settings = {"contrast": contrast, "contrast_overlays": {}}
    how = {"mask": mask, "any_sequence": True, "settings": settings}
    [row] = detect(scan, folder / "out", bundle, **how)
    assert row["status"] == "ok", row
    case = folder / "out" / "sub-01_swi"
    with (case / f"{case.name}_lesions.tsv").open(newline="") as file:
        return Found(contrast, case, list(csv.DictReader(file, delimiter="\t")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "usual", "one of two", "other of two", "large"])
def test_diameter_and_place_are_those_that_were_drawn(found, name):
    row = nearest(found.rows, name)
    centre, radius = LESIONS[name]
    assert np.linalg.norm(point(row) - centre) < 1
    assert float(row["diameter_mm"]) == pytest.approx(2 * radius, abs=0.5)
    assert float(row["volume_mm3"]) == pytest.approx(np.pi / 6 * float(row["diameter_mm"]) ** 3, rel=0.02)


@pytest.mark.slow
def test_lesions_that_touch_are_two_and_each_is_counted_once(found):
    assert len(found.rows) == len(LESIONS)
    assert nearest(found.rows, "one of two")["id"] != nearest(found.rows, "other of two")["id"]
    labels = np.unique(np.asarray(nib.load(found.case / f"{found.case.name}_cmb.nii.gz").dataobj))
    assert labels.tolist() == [0, *sorted(int(row["id"]) for row in found.rows)]


@pytest.mark.slow
def test_large_lesion_is_in_its_own_column_and_said_to_be_none(found):
    assert [row["large"] for row in found.rows].count("1") == 1
    assert nearest(found.rows, "large")["large"] == "1"
    record = json.loads((found.case / f"{found.case.name}.json").read_text())
    assert record["counts"] == {**dict.fromkeys(record["counts"], 0), "total": 4, "n/a": 4, "large": 1}
    assert (sum(record["mars"].values()), record["burden"]["count_range"]) == (4, "2 to 4")
    assert any(text.startswith("1 lesion is larger than 10 mm") for text in record["warnings"])
    page = (found.case / f"{found.case.name}.html").read_text()
    assert "4 suspected microbleeds of" in page
    assert "1 larger than 10 mm, not counted" in page
    write_report(found.case.parent)
    with (found.case.parent / "cohort.tsv").open() as file:
        [row] = csv.DictReader(file, delimiter="\t")
    assert (row["n_lesions"], row["n_no_region"], row["n_large"]) == ("4", "4", "1")
    assert "1 lesion larger than 10 mm, not counted" in cohort_page(read_rows(found.case.parent), "study")


@pytest.mark.slow
def test_contrast_is_that_of_core_and_tissue(found):
    row = nearest(found.rows, "usual")
    if found.contrast == "bright":
        assert row["contrast_percent"] == "n/a"
        assert float(row["difference"]) == pytest.approx(0.7 * 660 / 2000, rel=0.1)  # ppm
    else:
        assert float(row["contrast_percent"]) == pytest.approx(70, abs=3)
        assert float(row["difference"]) == pytest.approx(0.7 * 660, rel=0.1)
    assert float(row["cnr"]) > 20


@pytest.mark.slow
def test_maps_hold_the_outline_and_nothing_around_it(found):
    maps = {name: nib.load(found.case / f"{found.case.name}_{name}.nii.gz") for name in ("cmb", "prob")}
    affine = maps["cmb"].affine
    labels, probability = (np.asarray(one.dataobj) for one in maps.values())
    for name in ("usual", "large"):
        centre, radius = LESIONS[name]
        drawn = sphere_fraction(affine, labels.shape, centre, radius) >= 0.5
        mine = labels == int(nearest(found.rows, name)["id"])
        assert 2 * (mine & drawn).sum() / (mine.sum() + drawn.sum()) > 0.8
        assert (probability[mine] > 0.5).mean() > 0.9
    assert np.array_equal(affine, nib.load(found.case.parents[1] / "sub-01_swi.nii.gz").affine)
