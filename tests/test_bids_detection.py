"""Detection in a BIDS folder: every scan gets its result or its reason, as one folder a scan or as a derivative."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from bids import save_json
from geometry import planted_scan

from csvd.bundles import find_bundle
from csvd.checks import InputError
from csvd.io import not_reviewed, read_layout, read_table
from csvd.workflows.cohort import report
from csvd.workflows.detection import detect

BUNDLE = find_bundle("cmb_detection")
FIDUCIAL = {"type": "Fiducial", "coordinateSystem": "LPS"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """BIDS folder of an oblique scan, another, a broken one and a link to nothing."""
    root = tmp_path_factory.mktemp("bids")
    save_json(root / "dataset_description.json", {"Name": "Planted", "BIDSVersion": "1.10.0"})
    for number, name in enumerate(("sub-1_swi", "sub-2_acq-x_T2starw")):
        planted = planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0), seed=number)
        (root / name[:5] / "anat").mkdir(parents=True)
        nib.save(planted.image, root / name[:5] / "anat" / f"{name}.nii.gz")
    (root / "sub-2" / "anat" / "sub-2_swi.nii.gz").write_bytes(b"this is not a scan" * 100)
    (root / "sub-2" / "anat" / "sub-2_Chimap.nii.gz").symlink_to("../../.git/annex/objects/nothing")
    return root


@pytest.fixture(scope="module")
def derivative(root):
    out = root / "derivatives" / "csvd"
    detect(root, out, BUNDLE, any_sequence=True, bids=True)
    return out


def test_results_are_in_their_places_and_nowhere_else(derivative):
    records = sorted(path.name for path in derivative.rglob("*_record.json"))
    assert records == ["sub-1_desc-cmb_record.json", "sub-2_acq-x_desc-cmbT2starw_record.json"]
    assert sorted(path.name for path in derivative.iterdir() if path.is_dir()) == ["logs", "sub-1", "sub-2"]


def test_bad_scans_have_their_reasons(derivative):
    with (derivative / "cohort.tsv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(rows) == ["sub-1_swi", "sub-2_Chimap", "sub-2_acq-x_T2starw", "sub-2_swi"]
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"sub-2_Chimap", "sub-2_swi"}
    assert "datalad get" in rows["sub-2_Chimap"]["reason"]
    assert "not a sound gzip file" in (derivative / "index.html").read_text()


def test_results_are_those_of_one_folder_a_scan(root, derivative, tmp_path):
    rows = detect(root, tmp_path / "out", BUNDLE, any_sequence=True)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "failed"]
    for case, place in (("sub-1_swi", "sub-1_desc-cmb"), ("sub-2_acq-x_T2starw", "sub-2_acq-x_desc-cmbT2starw")):
        one = nib.load(tmp_path / "out" / case / f"{case}_cmb.nii.gz")
        other = nib.load(derivative / place[:5] / "anat" / f"{place}_dseg.nii.gz")
        assert np.array_equal(one.affine, other.affine)
        assert np.array_equal(one.dataobj, other.dataobj)
    assert (tmp_path / "out" / "lesions_all.tsv").read_text() == (derivative / "lesions_all.tsv").read_text()
    before = (tmp_path / "out" / "index.html").read_text()
    assert report(tmp_path / "out").read_text() == before


def test_derivative_is_resumed_and_not_replaced_unasked(root, derivative):
    record = derivative / "sub-1" / "anat" / "sub-1_desc-cmb_record.json"
    written = record.stat().st_mtime_ns
    with pytest.raises(InputError, match=r"sub-1_desc-cmb_record.json' and 1 more exists already"):
        detect(root, derivative, BUNDLE, any_sequence=True, bids=True)
    rows = detect(root, derivative, BUNDLE, any_sequence=True, bids=True, resume=True)
    assert [row["status"] for row in rows] == ["ok", "failed", "ok", "failed"]
    assert record.stat().st_mtime_ns == written
    assert json.loads(record.read_text())["case"] == "sub-1_swi"


def test_result_without_its_table_of_lesions_is_not_resumed(root, derivative, tmp_path):
    copy = shutil.copytree(derivative, tmp_path / "derivative")
    (copy / "sub-1" / "anat" / "sub-1_desc-cmb_dseg.tsv").unlink()
    rows = detect(root, copy, BUNDLE, any_sequence=True, bids=True, resume=True)
    assert "its table" in rows[0]["reason"]
    assert "sub-1_desc-cmb_dseg.tsv' is not there" in rows[0]["reason"]
    assert {row["subject"] for row in read_table(copy / "lesions_all.tsv")} <= {"sub-2"}


def test_corrected_result_is_kept_and_read_back(root, derivative, tmp_path):
    copy = shutil.copytree(derivative, tmp_path / "derivative")
    place = copy / "sub-1" / "anat"
    with pytest.raises(InputError, match="holds no corrected file"):
        read_layout(copy, "slicer", root)
    points = place / "sub-1_desc-cmb_lesions.mrk.json"
    points.write_text(
        json.dumps({"markups": [{**FIDUCIAL, "controlPoints": [{"label": "a", "position": [-1, -2, 3]}]}]})
    )
    other = copy / "sub-2" / "anat" / "sub-2_acq-x_desc-cmbT2starw_dseg.nii.gz"
    scan = nib.load(other)
    nib.save(nib.Nifti1Image(np.ones(scan.shape, np.int16), scan.affine), other)
    first, second = (item for subject in read_layout(copy, "slicer", root) for item in subject)
    assert (first["subject"], first["points"]) == ("sub-1", [[1, 2, 3]])
    assert first["image"] == str(root / "sub-1" / "anat" / "sub-1_swi.nii.gz")
    assert (second["subject"], second["label"]) == ("sub-2", str(other))

    rows = detect(root, copy, BUNDLE, any_sequence=True, bids=True, overwrite=True)
    assert "was corrected since csvd wrote it" in rows[0]["reason"]
    assert "-1, -2, 3" in points.read_text()
    assert not_reviewed(copy) == []


def test_table_and_page_are_written_again(root, derivative, tmp_path):
    names = ("index.html", "cohort.tsv", "cohort.json", "lesions_all.tsv", "dataset_description.json")
    before = [(derivative / name).read_text() for name in names]
    for name in ("index.html", "cohort.json", "lesions_all.tsv"):
        (derivative / name).unlink()
    assert report(derivative) == derivative / "index.html"
    assert [(derivative / name).read_text() for name in names] == before
    with pytest.raises(InputError, match=r"must hold results of `csvd detect`, it holds none"):
        report(tmp_path)


def test_other_input_is_refused(tmp_path, save_scan):
    with pytest.raises(InputError, match=r"--bids needs a BIDS folder, input '.*sub-01_swi.nii.gz' is none"):
        detect(save_scan(), tmp_path / "out", BUNDLE, bids=True)
