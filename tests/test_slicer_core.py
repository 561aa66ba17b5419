"""Results in 3D Slicer's own libraries: everything where the table says; what is corrected there comes back.

They need a Python with `slicer-core`: this one, or the one that CSVD_SLICER_PYTHON names.
"""

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import planted_scan
from monai.data import MetaTensor
from warm import python_m

from csvd.io import NiftiReader, read_layout
from csvd.phantom import write_cohort
from csvd.transforms import LesionLabeld

SLICER = os.environ.get("CSVD_SLICER_PYTHON", sys.executable)
TRY = [SLICER, "-c", "from slicer import vtkMRMLScene"]
HAS_SLICER = shutil.which(SLICER) is not None and subprocess.run(TRY, capture_output=True).returncode == 0
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAS_SLICER, reason=f"'{SLICER}' has no slicer-core; name one that has: CSVD_SLICER_PYTHON"),
]


def simulated(folder):
    """A scan of the simulator, in a grid along the axes of the world."""
    write_cohort("ukbb", 1, folder, 2023, phenotype="CADASIL", split=(0, 0, 1), jobs=1, progress=False)
    return next(folder.glob("sub-001/sub-001_swi.nii.gz"))


def oblique(folder):
    """A scan of two lesions, with thick slices, in a turned and left-handed grid."""
    path = folder / "sub-02_swi.nii.gz"
    folder.mkdir()
    how = {"axcodes": "PIL", "voxel_mm": (1.0, 1.0, 2.0), "oblique_degrees": 17, "shape": (112, 88, 48)}
    images = [planted_scan(**how, radius_mm=3, lesion_world_mm=at).image for at in ((24, 8, 30), (-20, -14, 20))]
    nib.save(nib.Nifti1Image(np.minimum(*(image.get_fdata() for image in images)), images[0].affine), path)
    return path


@pytest.fixture(scope="module", params=[simulated, oblique])
def review(request, tmp_path_factory):
    """Paths of scan and results, and what 3D Slicer said of them, after one point was moved, one deleted, one added."""
    root = tmp_path_factory.mktemp(request.param.__name__)
    scan = request.param(root / "scans")
    detect = python_m("csvd.cli", "detect", scan, "--any-sequence", "--out", root / "results")
    subprocess.run(detect, check=True, capture_output=True)
    (table,) = root.glob("results/*/*_lesions.tsv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 1
    case = table.parent / table.parent.name
    middle = nib.affines.apply_affine(nib.load(scan).affine, np.array(nib.load(scan).shape) / 2).tolist()
    task = {"scan": scan, "mask": f"{case}_cmb.nii.gz", "markups": f"{case}_lesions.mrk.json", "out": root}
    task |= {"reviewed": root / "reviewed", "delete": rows[0]["id"], "add": middle}
    task |= {"move": (rows[-1]["id"], [middle[0] + 5.5, middle[1] - 4.25, middle[2]])}
    (root / "task.json").write_text(json.dumps(task, default=str))
    script = Path(__file__).with_name("slicer_scene.py")
    done = subprocess.run([SLICER, script, root / "task.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return task, rows, json.loads((root / "scene.json").read_text())


def positions(rows):
    return np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])


def corners(affine, shape):
    """The centres of the voxels in the corners of a grid, (8, 3)."""
    ends = itertools.product(*((0, size - 1) for size in shape))
    return nib.affines.apply_affine(affine, [*ends])


@pytest.mark.parametrize("when", ["made", "loaded"])
def test_points_lie_where_the_table_says(review, when):
    _, rows, seen = review
    found = np.array([point["position"] for point in seen[when]["points"]])
    np.testing.assert_allclose(found, positions(rows), atol=0.0051)  # the table has hundredths
    assert seen[when]["shown"]


@pytest.mark.parametrize("when", ["made", "loaded"])
def test_points_have_id_region_and_probability_of_the_table(review, when):
    task, rows, seen = review
    assert Path(task["markups"]).parent.name in seen[when]["list"]
    for point, row in zip(seen[when]["points"], rows, strict=True):
        assert point["label"] == row["id"]
        assert f"probability {float(row['probability']):.2f}" in point["description"]
        assert row["region"].replace("n/a", "region unknown") in point["description"]


@pytest.mark.parametrize("when", ["made", "loaded"])
def test_scan_keeps_its_grid_and_segments_lie_around_their_points(review, when):
    task, rows, seen = review
    scan, affine = nib.load(task["scan"]), np.array(seen[when]["affine"])
    sets = [corners(affine, seen[when]["shape"]), corners(scan.affine, scan.shape)]  # axes may run the other way
    np.testing.assert_allclose(*(points[np.lexsort(points.round(1).T)] for points in sets), atol=1e-3)
    assert [*seen[when]["segments"]] == [row["id"] for row in rows]
    apart = np.linalg.norm(np.array([*seen[when]["segments"].values()]) - positions(rows), axis=1)
    assert (apart <= np.array([float(row["longest_mm"]) for row in rows]) / 2 + scan.header.get_zooms()[2]).all()


def test_corrected_points_come_back(review):
    task, rows, _ = review
    out = Path(task["out"]) / "datalist.json"
    where = (task["reviewed"] / "points", "--scans", task["scan"].parent, "--out", out)
    subprocess.run(python_m("csvd.cli", "datalist", *where, "--layout", "slicer", "--split", 1, 0, 0), check=True)
    [item] = json.loads(out.read_text())["training"]
    kept = [row for row in rows if row["id"] != task["delete"]]
    expected = positions(kept) if kept else np.empty((0, 3))
    expected[[row["id"] == task["move"][0] for row in kept]] = task["move"][1]
    np.testing.assert_allclose(item["points"], [*expected, task["add"]], atol=0.0051)
    assert out.parent / item["image"] == task["scan"]


def test_corrected_mask_comes_back_on_the_grid_of_the_scan(review):
    task, _, _ = review
    [[item]] = read_layout(task["reviewed"] / "mask", "slicer", task["scan"].parent)
    scan, before = nib.load(item["image"]), np.asarray(nib.load(task["mask"]).dataobj)
    image = MetaTensor(torch.from_numpy(scan.get_fdata()[None]), affine=torch.from_numpy(scan.affine))
    label = LesionLabeld("label", reader=NiftiReader())({**item, "image": image})["label"][0].numpy()
    np.testing.assert_array_equal(label > 0, (before > 0) & (before != int(task["delete"])))
