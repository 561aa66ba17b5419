"""Results as a BIDS derivative: every file has its name and place, and the official validator agrees."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bids import AFFINE, make_bids, save_json, save_noise
from monai.data import MetaTensor

from csvd.checks import InputError
from csvd.handlers import CaseWriter
from csvd.io import find_cases
from csvd.io.bids.derivative import _sources, check_derivative, derivative_path, write_dataset, write_derivative
from csvd.io.bids.description import source_of

LESIONS = {1: (10, 12, 14), 2: (20, 12, 14)}
CASES = ("sub-01_ses-2_Chimap", "sub-02_acq-x_run-1_T2starw", "sub-03_MEGRE")
FAILED = {"case": "sub-09_swi", "status": "failed", "reason": "scan 'sub-09_swi.nii.gz' is truncated"}


def write_case(case, out):
    """Write what the detector would, two voxels found, and return the folder and the record."""
    pred = torch.zeros(1, 32, 32, 32, dtype=torch.int16)
    for value, voxel in LESIONS.items():
        pred[(0, *voxel)] = value
    maps = {"pred": pred, "prob": (pred > 0) * 0.8 + 0.1, "mask": torch.ones(pred.shape)}
    meta = {"filename_or_obj": str(case.image), "affine": torch.as_tensor(AFFINE)}
    item = {name: MetaTensor(value, meta=meta) for name, value in maps.items()}
    return out / case.name, CaseWriter(out, threshold=0.5).write({**case.item(), **item})


@pytest.fixture(scope="module")
def derivative(tmp_path_factory):
    """Raw data set, and the derivative of it that lies where BIDS has it."""
    root = make_bids(tmp_path_factory.mktemp("study") / "raw")
    out, rows = root / "derivatives" / "csvd", []
    for case in (case for case in find_cases(root) if case.name in CASES):
        record = write_derivative(*write_case(case, out), out, case.image)
        assert record == json.loads(derivative_path(out, case.name, "_record.json").read_text())
        rows.append({"case": case.name, "status": "ok", **record})
    write_dataset([*rows, FAILED], out, root)
    return out


@pytest.mark.parametrize(
    ("case", "place"),
    [
        ("sub-01_swi", "sub-01/anat/sub-01_desc-cmb_dseg.tsv"),
        ("sub-01_ses-2_acq-x_run-1_swi", "sub-01/ses-2/anat/sub-01_ses-2_acq-x_run-1_desc-cmb_dseg.tsv"),
        ("sub-01_T2starw", "sub-01/anat/sub-01_desc-cmbT2starw_dseg.tsv"),
        ("sub-01_ses-base line_swi", "sub-01/ses-baseline/anat/sub-01_ses-baseline_desc-cmb_dseg.tsv"),
        ("sub-a-1_acq-x.y_swi", "sub-a1/anat/sub-a1_acq-xy_desc-cmb_dseg.tsv"),
        ("sub-M\udcfc_swi", "sub-M/anat/sub-M_desc-cmb_dseg.tsv"),
    ],
)
def test_name_says_which_scan_it_comes_from(tmp_path, case, place):
    assert derivative_path(tmp_path, case, "_dseg.tsv") == tmp_path / place


@pytest.mark.parametrize("case", ["scan", "sub-01", "sub-01_desc-x_swi", "sub-../x_swi", "a_sub-01_swi"])
def test_case_without_a_bids_name_is_refused(tmp_path, case):
    with pytest.raises(InputError, match=f"scan '{case}' has no place in a BIDS derivative: .*leave out --bids"):
        check_derivative(tmp_path, [case])


def test_case_without_a_bids_name_does_not_stop_the_others(tmp_path):
    check_derivative(tmp_path, ["sub-01_desc-x_swi", "sub-02_swi"])


def test_two_cases_with_one_name_in_a_derivative_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"scans 'sub-1_acq-a b_swi' and 'sub-1_acq-AB_swi' must have different names"):
        check_derivative(tmp_path, ["sub-1_acq-a b_swi", "sub-2_swi", "sub-1_acq-AB_swi"])


def test_names_with_signs_are_texts_that_can_be_read_back(tmp_path):
    root, out = tmp_path / "Meine Studie (ü) 50% #1", tmp_path / "out"
    image = save_noise(root / "sub-1" / "ses-base line" / "anat" / "sub-1_ses-base line_swi.nii.gz")
    write_dataset([{**FAILED, "case": "sub-1_ses-base line_swi"}], out, root)
    assert source_of(out).resolve() == root
    assert "%20" in json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]["raw"]
    assert _sources(image) == {"Sources": ["bids:raw:sub-1/ses-base%20line/anat/sub-1_ses-base%20line_swi.nii.gz"]}


@pytest.mark.parametrize(
    "content", ["", "[1]", "{", '\ufeff{"Name": "x"}', '{"GeneratedBy": null}', '{"GeneratedBy": [1]}']
)
def test_damaged_description_is_one_of_someone_else(tmp_path, content):
    (tmp_path / "dataset_description.json").write_bytes(content.encode())
    with pytest.raises(InputError, match="which csvd did not make"):
        check_derivative(tmp_path, ["sub-01_swi"])
    assert source_of(tmp_path) == tmp_path


def test_files_of_a_case_are_moved_to_their_names(derivative):
    folder = derivative / "sub-03" / "anat"
    endings = {path.name.removeprefix("sub-03_desc-cmbMEGRE") for path in folder.iterdir()}
    covered = {"_dseg.nii.gz", "_dseg.json", "_dseg.tsv", "_probseg.nii.gz", "_probseg.json"}
    assert endings >= covered | {"_record.json", "_report.html", "_candidates.tsv"}
    assert not list(derivative.glob("*_*/"))


def test_map_keeps_geometry_and_table_its_coordinates(derivative):
    stem = derivative / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_desc-cmbChimap_dseg"
    instances = nib.load(f"{stem}.nii.gz")
    np.testing.assert_allclose(instances.affine, AFFINE, atol=1e-5)
    with open(f"{stem}.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(rows[0])[:3] == ["index", "name", "x_mm"]
    for row, (value, voxel) in zip(rows, LESIONS.items(), strict=True):
        assert (row["index"], row["name"]) == (str(value), f"microbleed {value}")
        assert instances.dataobj[voxel] == value
        world = nib.affines.apply_affine(AFFINE, voxel)
        np.testing.assert_allclose([float(row[f"{axis}_mm"]) for axis in "xyz"], world, atol=0.01)


def test_sidecar_names_the_scan_and_describes_the_columns(derivative):
    sidecar = json.loads((derivative / "sub-03" / "anat" / "sub-03_desc-cmbMEGRE_dseg.json").read_text())
    assert sidecar["Sources"] == ["bids:raw:sub-03/anat/sub-03_echo-2_part-mag_MEGRE.nii.gz"]
    assert sidecar["volume_mm3"]["Description"].startswith("volume")
    assert "Research use only" in sidecar["Description"]


def test_data_set_says_what_made_it_and_from_what(derivative):
    said = json.loads((derivative / "dataset_description.json").read_text())
    assert said["DatasetType"] == "derivative"
    assert said["GeneratedBy"][0]["Name"] == "csvd"
    assert (derivative / said["DatasetLinks"]["raw"]).resolve() == derivative.parents[1]
    assert "Research use only" in (derivative / "README.md").read_text()


def test_failed_scan_is_in_the_tables(derivative):
    assert "sub-09\t1\t1" in (derivative / "participants.tsv").read_text().splitlines()
    assert "sub-09_swi\tn/a\tfailed\tscan 'sub-09_swi.nii.gz' is truncated" in (derivative / "cohort.tsv").read_text()


def test_results_that_are_there_are_not_replaced_unasked(derivative):
    with pytest.raises(InputError, match=r"sub-03_desc-cmbMEGRE_record.json' and 1 more exists already"):
        check_derivative(derivative, ["sub-03_MEGRE", "sub-01_ses-2_Chimap"])
    check_derivative(derivative, ["sub-03_MEGRE"], overwrite=True)
    check_derivative(derivative, ["sub-04_swi"])


def test_new_results_replace_those_of_the_same_scan(tmp_path):
    root = make_bids(tmp_path / "raw")
    (case,) = (case for case in find_cases(root) if case.name == "sub-03_MEGRE")
    for _ in range(2):
        write_derivative(*write_case(case, tmp_path / "out"), tmp_path / "out", case.image)
    record = derivative_path(tmp_path / "out", case.name, "_record.json")
    assert json.loads(record.read_text())["counts"]["total"] == 2
    assert len(list(record.parent.iterdir())) == len({path.name for path in record.parent.iterdir()})


@pytest.mark.parametrize("content", [{"Name": "Study", "BIDSVersion": "1.10.0"}, {"GeneratedBy": [{"Name": "other"}]}])
def test_data_set_of_someone_else_is_left_alone(tmp_path, content):
    save_json(tmp_path / "dataset_description.json", content)
    with pytest.raises(InputError, match=r"holds the data set .*, which csvd did not make: choose .*derivatives/csvd"):
        check_derivative(tmp_path, ["sub-01_swi"])


@pytest.mark.parametrize("which", ["raw", "derivative"])
def test_official_validator_has_no_complaint(derivative, which):
    validator = shutil.which("bids-validator-deno", path=Path(sys.executable).parent)
    if validator is None:
        pytest.skip("needs bids-validator-deno")
    folder = derivative if which == "derivative" else derivative.parents[1]
    done = subprocess.run([validator, str(folder), "--json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    if which == "derivative":
        assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}
