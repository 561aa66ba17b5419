"""The default detector: microbleeds on the scanner's own grid, whatever its spacing, orientation and contrast."""

import csv

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import planted_scan
from monai.bundle import ConfigParser

from csvd.bundles import find_bundle
from csvd.workflows.detection import detect
from csvd.workflows.runner import read_config

BUNDLE = find_bundle("cmb_detection")
GRIDS = {
    "axial, thick slices": {"voxel_mm": (0.6, 0.6, 4.0), "shape": (180, 200, 24)},
    "sagittal": {"axcodes": "PSR", "voxel_mm": (1.0, 1.0, 3.0), "shape": (112, 92, 32)},
    "coronal, slices along the first axis": {"axcodes": "ALS", "voxel_mm": (3.0, 1.0, 1.0), "shape": (37, 96, 88)},
    "isotropic, oblique": {"voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 20.0},
}


def as_qsm(scan):
    """Return a susceptibility map of a planted scan: what is dark there is bright here, 0 outside the brain."""
    voxels = np.asarray(scan.dataobj).astype(np.float32)
    return nib.Nifti1Image(np.where(voxels > 0, (600 - voxels) / 2000, 0), scan.affine)


def surest(folder, table):
    """Return the point in mm (RAS+) of the surest of a table's lesions."""
    with (folder / f"{folder.name}_{table}.tsv").open() as file:
        rows = sorted(csv.DictReader(file, delimiter="\t"), key=lambda row: -float(row["probability"]))
    return np.array([float(rows[0][f"{axis}_mm"]) for axis in "xyz"])


@pytest.mark.slow
@pytest.mark.parametrize("contrast", ["dark", "bright"])
@pytest.mark.parametrize("grid", GRIDS)
def test_lesion_is_found_at_its_place_on_the_grid_of_the_scan(tmp_path, grid, contrast):
    planted = planted_scan(**GRIDS[grid], radius_mm=2.0)
    scan = planted.image if contrast == "dark" else as_qsm(planted.image)
    nib.save(scan, tmp_path / "scan.nii.gz")
    how = {"any_sequence": True, "settings": {"contrast": contrast, "contrast_overlays": {}}}
    [row] = detect(tmp_path / "scan.nii.gz", tmp_path / "out", BUNDLE, **how)
    assert row["status"] == "ok"
    for table in ("lesions", "candidates"):
        assert np.linalg.norm(surest(tmp_path / "out" / "scan", table) - planted.lesion_world_mm) <= 1.5
    for name in ("cmb", "prob"):
        result = nib.load(tmp_path / "out" / "scan" / f"scan_{name}.nii.gz")
        assert result.shape == scan.shape
        assert np.array_equal(result.affine, scan.affine)


@pytest.mark.slow
def test_monai_label_gets_a_box_around_the_lesion(tmp_path):
    """It runs preprocessing, the detector on what that gives, and postprocessing; nothing else of the config."""
    planted = planted_scan(**GRIDS["sagittal"], radius_mm=2.0)
    nib.save(planted.image, tmp_path / "scan.nii.gz")
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.json"))
    parser["bundle_root"], parser["device"] = str(BUNDLE), "cpu"
    steps = ("network", "preprocessing", "detector", "postprocessing")
    network, preprocessing, detector, postprocessing = map(parser.get_parsed_content, steps)
    network.load_state_dict(torch.load(BUNDLE / "models" / "model.pt", weights_only=True))
    detector.eval()
    data = preprocessing({"image": str(tmp_path / "scan.nii.gz"), "image_path": str(tmp_path)})
    [found] = detector(data["image"][None], use_inferer=True)
    data = postprocessing({**data, **found})
    centre, size = data["box"][:, :3] * torch.tensor([-1, -1, 1]), data["box"][:, 3:]  # LPS to RAS
    inside = ((centre - torch.as_tensor(planted.lesion_world_mm)).abs() <= size / 2).all(dim=1)
    assert inside.any()
    voxels = torch.tensor([3.0, 1.0, 1.0])  # along the world's axes
    assert ((size[inside] >= 4 - voxels) & (size[inside] <= 4 + 2 * voxels)).all()  # of a ball of 4 mm
    assert len(data["label"]) == len(centre)


@pytest.mark.slow
def test_overlays_are_files_or_names_and_paper_is_the_cascade(tmp_path):
    nib.save(planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0)).image, tmp_path / "scan.nii.gz")
    rows = []
    for overlays in ((), ("paper",), (BUNDLE / "configs" / "paper.json",)):
        how = {"any_sequence": True, "overlays": overlays, "overwrite": True}
        rows += detect(tmp_path / "scan.nii.gz", tmp_path / "out", BUNDLE, **how)
    default, name, file = rows
    assert name == file
    assert name["settings"]["candidate_threshold"] == 0.2
    assert "candidate_threshold" not in default["settings"]
    assert default["threshold"] != name["threshold"]


@pytest.mark.slow
def test_lesions_of_the_cascade_are_outlined_on_qsm(tmp_path):
    planted = planted_scan(shape=(90, 110, 44), voxel_mm=(1.0, 1.0, 2.0), radius_mm=2.0)
    nib.save(as_qsm(planted.image), tmp_path / "scan.nii.gz")
    how = {"any_sequence": True, "settings": {"contrast": "bright"}}
    [row] = detect(tmp_path / "scan.nii.gz", tmp_path / "out", BUNDLE, **how)
    assert row["settings"]["candidate_threshold"] == 0.2  # it was the cascade
    with (tmp_path / "out" / "scan" / "scan_candidates.tsv").open() as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    where = [np.linalg.norm([float(one[f"{axis}_mm"]) for axis in "xyz"] - planted.lesion_world_mm) for one in table]
    lesion = table[int(np.argmin(where))]
    assert min(where) < 1.5
    assert float(lesion["diameter_mm"]) == pytest.approx(4, abs=0.5)
    assert lesion["contrast_percent"] == "n/a"
    assert "n/a" not in {one["longest_mm"] for one in table}


def test_overlay_that_is_not_there_is_named(csvd, tmp_path, save_scan):
    code, _, errors = csvd("detect", save_scan(), "--overlay", tmp_path / "none.json", "--out", tmp_path / "out")
    assert (code, "none.json' does not exist" in errors[0]) == (2, True)


@pytest.mark.parametrize(
    ("settings", "overlays", "network"),
    [
        ({}, (), "PatchEnsemble"),
        ({"contrast": "dark"}, (), "PatchEnsemble"),
        ({"contrast": "bright"}, (), "CascadeNetwork"),
        ({"contrast": "bright"}, ("paper",), "CascadeNetwork"),
    ],
)
def test_qsm_goes_to_the_cascade_unless_an_overlay_is_given(settings, overlays, network):
    config = read_config(find_bundle("cmb_detection"), settings, overlays)
    assert config["network_def"]["_target_"] == f"csvd.networks.{network}"
