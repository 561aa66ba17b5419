"""The command line: results for good scans, one clear line for bad ones."""

import csv
import gzip
import json
import subprocess
import sys

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from geometry import STORED, planted_scan
from small_bundle import write_bundle
from warm import python_m

from csvd.bundles import find_bundle
from csvd.metrics import operating_threshold

ANYHOW = "--any-sequence"  # for scans too crude to look like any
SMALL = {"shape": (48, 56, 44), "voxel_mm": (2.0, 2.0, 2.0)}


@pytest.fixture
def scan(tmp_path):
    """A small good scan."""
    path = tmp_path / "scans" / "sub-01_swi.nii.gz"
    path.parent.mkdir()
    nib.save(planted_scan(**SMALL).image, path)
    return path


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def spoil(path, voxels=None, patch=None):
    """Change the voxels of a scan, or bytes of its header, and return its path."""
    image = nib.load(path)
    voxels = np.asarray(image.dataobj).astype(np.float32) if voxels is None else voxels
    nib.save(nib.Nifti1Image(voxels, image.affine), path)
    if patch is not None:
        offset, content = patch
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[offset : offset + len(content)] = content
        path.write_bytes(gzip.compress(bytes(data)))
    return path


def with_value(path, value):
    voxels = np.asarray(nib.load(path).dataobj).astype(np.float32)
    voxels[3, 4, 5] = value
    return spoil(path, voxels)


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def not_nifti(path):
    path.write_bytes(b"this is not a scan" * 100)
    return path


def with_voxel_size(path, size):
    return spoil(path, patch=(80, np.float32(size).tobytes()))


def noise(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


BAD = {
    "missing file": lambda path: path.with_name("none.nii.gz"),
    "not NIfTI": not_nifti,
    "truncated gzip": truncated,
    "all zeros": lambda path: spoil(path, np.zeros((20, 20, 20), np.float32)),
    "constant": lambda path: spoil(path, np.full((20, 20, 20), 7, np.float32)),
    "mask": lambda path: spoil(path, (noise(20, 20, 20) > 0.5).astype(np.float32)),
    "NaN": lambda path: with_value(path, np.nan),
    "Inf": lambda path: with_value(path, np.inf),
    "2-D": lambda path: spoil(path, noise(20, 20)),
    "5-D": lambda path: spoil(path, noise(9, 9, 9, 2, 2)),
    "4 x 4 x 4": lambda path: spoil(path, noise(4, 4, 4)),
    "zero voxel size": lambda path: with_voxel_size(path, 0),
    "negative voxel size": lambda path: with_voxel_size(path, -1),
    "singular affine": lambda path: spoil(path, patch=(312, bytes(16))),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_scan_is_one_line_and_exit_code_1(csvd, scan, tmp_path, what):
    path = BAD[what](scan)
    code, _, errors = csvd("detect", path, "--out", tmp_path / "out")
    assert (code, len(errors)) == (2 if what == "missing file" else 1, 1), errors
    assert path.name in errors[0]
    assert not (tmp_path / "out").exists()


def test_mask_of_other_shape_is_one_line(csvd, scan, tmp_path):
    mask = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((20, 20, 20), np.uint8), np.eye(4)), mask)
    code, _, errors = csvd("detect", scan, "--mask", mask, "--out", tmp_path / "out")
    assert (code, len(errors)) == (1, 1)
    assert "mask.nii.gz" in errors[0]


def test_duplicate_subjects_are_one_line(csvd, scan, tmp_path):
    item = {"image": str(scan), "subject": "sub-01"}
    (tmp_path / "list.json").write_text(json.dumps({"test": [item, item]}))
    code, _, errors = csvd("detect", tmp_path / "list.json", "--out", tmp_path / "out")
    assert (code, len(errors)) == (2, 1)
    assert "sub-01" in errors[0]


def test_unwritable_output_is_one_line(csvd, scan):
    code, _, errors = csvd("detect", scan, "--out", scan / "out")
    assert (code, len(errors)) == (2, 1)


@pytest.mark.parametrize("missing", ["configs/inference.json", "configs/sequence_inference.json", "models/sequence.pt"])
def test_incomplete_bundle_is_one_line(csvd, scan, tmp_path, missing):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / missing).unlink()
    code, _, errors = csvd("detect", scan, "--out", tmp_path / "out", "--bundle", bundle)
    assert (code, len(errors)) == (2, 1)
    assert f"has no {missing}" in errors[0]


def test_existing_output_is_refused_and_replaced_when_asked(csvd, scan, tmp_path):
    assert csvd("detect", scan, ANYHOW, "--out", tmp_path / "out")[0] == 0
    before = (tmp_path / "out" / "sub-01_swi" / "sub-01_swi.json").stat().st_mtime_ns
    code, _, errors = csvd("detect", scan, ANYHOW, "--out", tmp_path / "out")
    assert (code, len(errors)) == (2, 1)
    assert "--overwrite" in errors[0]
    assert csvd("detect", scan, ANYHOW, "--out", tmp_path / "out", "--overwrite")[0] == 0
    assert (tmp_path / "out" / "sub-01_swi" / "sub-01_swi.json").stat().st_mtime_ns > before


def test_bad_scan_of_a_folder_is_a_row_and_the_rest_goes_on(csvd, scan, tmp_path):
    not_nifti(scan.with_name("sub-02_swi.nii.gz"))
    code, output, errors = csvd("detect", scan.parent, ANYHOW, "--out", tmp_path / "out")
    rows = {row["case"]: row for row in rows_of(tmp_path / "out" / "cohort.tsv")}
    assert code == 1
    assert [rows[name]["status"] for name in ("sub-01_swi", "sub-02_swi")] == ["ok", "failed"]
    assert "gzip" in rows["sub-02_swi"]["reason"]
    [error] = errors
    assert error.startswith("sub-02_swi: failed")
    assert "1 of 2 scans done, 1 failed." in output


def test_folder_of_bad_scans_alone_is_a_table_of_reasons(csvd, scan, tmp_path):
    (scan.parent / "sub-02_swi.nii.gz").write_bytes(scan.read_bytes()[:3000])
    (scan.parent / "sub-01_swi.nii.gz").write_bytes(scan.read_bytes()[:2000])
    assert csvd("detect", scan.parent, ANYHOW, "--out", tmp_path / "out")[0] == 1
    rows = rows_of(tmp_path / "out" / "cohort.tsv")
    assert [row["status"] for row in rows] == ["failed", "failed"]


def test_json_is_one_document_with_a_row_each(csvd, scan, tmp_path):
    not_nifti(scan.with_name("sub-02_swi.nii.gz"))
    code, output, _ = csvd("detect", scan.parent, ANYHOW, "--json", "--out", tmp_path / "out")
    rows = json.loads(output)
    assert (code, [row["status"] for row in rows]) == (1, ["ok", "failed"])
    assert rows[0]["counts"] == json.loads((tmp_path / "out" / "sub-01_swi" / "sub-01_swi.json").read_text())["counts"]


@pytest.mark.slow
def test_subtypes_of_the_command_line_and_of_the_bundle_are_the_same(csvd, scan, tmp_path):
    who = {"age": 71, "sex": "F"}
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": str(scan), **who}]}))
    said = ("--age", who["age"], "--sex", who["sex"])
    code, output, _ = csvd("classify", scan, ANYHOW, *said, "--out", tmp_path / "cli")
    assert (code, "sub-01_swi: C" in output or "sub-01_swi: aSVD" in output or "not applicable" in output) == (0, True)
    command = python_m("monai.bundle", "run", "inferring", "--config_file", "configs/inference.json")
    folders = ["--dataset_dir", str(tmp_path / "list.json"), "--output_dir", str(tmp_path / "bundle")]
    subprocess.run([*command, *folders], cwd=find_bundle("csvd_classification"), check=True, capture_output=True)
    records = [json.loads((tmp_path / way / "sub-01_swi" / "sub-01_swi.json").read_text()) for way in ("cli", "bundle")]
    assert records[0]["probabilities"] == records[1]["probabilities"]
    assert records[0]["covariates"] == {"age": 71.0, "sex": "F"}


@pytest.mark.slow
def test_subtypes_of_a_cohort_are_a_table_with_reasons(csvd, scan, tmp_path):
    not_nifti(scan.with_name("sub-02_swi.nii.gz"))
    assert csvd("classify", scan.parent, ANYHOW, "--out", tmp_path / "out")[0] == 1
    first, second = rows_of(tmp_path / "out" / "cohort.tsv")
    probabilities = [first[f"p_{name}"] for name in ("aSVD", "CAA", "CADASIL")]
    if first["n_lesions"] == "0":
        assert (first["subtype"], probabilities) == ("n/a", ["n/a"] * 3)
    else:
        assert sum(map(float, probabilities)) == pytest.approx(1, abs=1e-3)
    assert (first["age"], second["subtype"]) == ("n/a", "n/a")
    assert "gzip" in second["reason"]


def test_sorted_study_as_json_has_a_row_a_series(csvd, scan):
    not_nifti(scan.with_name("sub-02_swi.nii.gz"))
    code, output, _ = csvd("sort", scan.parent, "--json")
    first, second = json.loads(output)
    assert (code, first["name"], second["found"]) == (1, "sub-01_swi.nii.gz", None)
    assert "gzip" in second["reason"]
    assert set(first["found"]) >= {"sequence", "contrast", "probability"}


def test_age_of_one_subject_is_not_given_to_a_folder(csvd, scan, tmp_path):
    nib.save(planted_scan(**SMALL).image, scan.with_name("sub-02_swi.nii.gz"))
    code, _, errors = csvd("classify", scan.parent, "--age", 70, "--out", tmp_path / "out")
    assert (code, len(errors)) == (2, 1)
    assert "age '70.0' fits one scan" in errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("stored", STORED)
def test_lesion_is_reported_at_its_world_point(csvd, tmp_path, stored):
    planted = planted_scan(**STORED[stored])
    path = tmp_path / "planted.nii.gz"
    nib.save(planted.image, path)
    assert csvd("detect", path, ANYHOW, "--out", tmp_path / "out")[0] == 0
    folder = tmp_path / "out" / "planted"
    rows = rows_of(folder / "planted_lesions.tsv")
    points = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])
    nearest = points[np.linalg.norm(points - planted.lesion_world_mm, axis=1).argmin()]
    voxel = nib.affines.apply_affine(np.linalg.inv(planted.image.affine), nearest)
    assert np.abs(voxel - planted.lesion_voxel).max() <= 1
    result = nib.load(folder / "planted_cmb.nii.gz")
    assert result.shape == planted.image.shape[:3]
    assert np.array_equal(result.affine, planted.image.affine)


@pytest.mark.slow
def test_command_line_and_bundle_give_the_same(csvd, scan, tmp_path):
    assert csvd("detect", scan, ANYHOW, "--out", tmp_path / "cli")[0] == 0
    command = python_m("monai.bundle", "run", "inferring", "--config_file", "configs/inference.json")
    folders = ["--dataset_dir", str(scan.parent), "--output_dir", str(tmp_path / "bundle"), "--sequence", "SWI"]
    subprocess.run([*command, *folders], cwd=find_bundle("cmb_detection"), check=True, capture_output=True)
    maps = [nib.load(tmp_path / way / "sub-01_swi" / "sub-01_swi_prob.nii.gz") for way in ("cli", "bundle")]
    np.testing.assert_array_equal(*(np.asarray(image.dataobj) for image in maps))


@pytest.mark.slow
def test_evaluation_names_rule_and_threshold(csvd, small_cohort, tmp_path):
    assert csvd("evaluate", "detection", small_cohort, "--out", tmp_path / "rates")[0] == 0
    rows = rows_of(tmp_path / "rates" / "rates.tsv")
    assert [(row["matching"], row["subjects"], row["lesions"]) for row in rows] == [
        ("distance", "1", "1"),
        ("strict", "1", "1"),
        ("overlap", "1", "1"),
    ]
    points = find_bundle("cmb_detection") / "models" / "operating_points.json"
    assert float(rows[0]["threshold"]) == pytest.approx(
        operating_threshold(points, "best_f1", sequence="SWI"), abs=1e-4
    )
    assert (tmp_path / "rates" / "froc.png").exists()


@pytest.mark.slow
def test_evaluation_counts_at_the_threshold_that_is_given_and_takes_overlays_by_name(csvd, small_cohort, tmp_path):
    how = ("--threshold", 0.2345, "--overlay", "paper")
    assert csvd("evaluate", "detection", small_cohort, "--out", tmp_path / "rates", *how)[0] == 0
    rows = rows_of(tmp_path / "rates" / "rates.tsv")
    assert [(row["threshold"], row["lesions"]) for row in rows] == [("0.2345", "1")] * 3


def test_bids_folder_becomes_a_data_list_that_can_be_detected(csvd, scan, tmp_path):
    for subject in ("sub-01", "sub-02"):
        (tmp_path / "bids" / subject / "anat").mkdir(parents=True)
        (tmp_path / "bids" / subject / "anat" / f"{subject}_swi.nii.gz").write_bytes(scan.read_bytes())
    command = (
        "datalist",
        tmp_path / "bids",
        "--layout",
        "bids",
        "--split",
        0.5,
        0,
        0.5,
        "--out",
        tmp_path / "list.json",
    )
    code, out, _ = csvd(*command)
    assert (code, out.split(":")[0]) == (0, "2 scans of 2 subjects, 0 annotated")
    lists = json.loads((tmp_path / "list.json").read_text())
    assert [len(lists[section]) for section in ("training", "validation", "test")] == [1, 0, 1]
    assert csvd("detect", tmp_path / "list.json", ANYHOW, "--out", tmp_path / "out")[0] == 0
    code, _, err = csvd(*command)
    assert (code, len(err)) == (2, 1)
    assert "exists already" in err[0]


@pytest.mark.slow
def test_scan_without_orientation_says_so(csvd, scan, tmp_path):
    image = nib.load(scan)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    path = tmp_path / "unoriented.nii.gz"
    nib.save(image, path)
    assert csvd("detect", path, ANYHOW, "--out", tmp_path)[0] == 0
    record = json.loads((tmp_path / "unoriented" / "unoriented.json").read_text())
    assert "states no orientation" in record["notes"][0]


def test_dicom_objects_of_a_nifti_file_are_refused(csvd, scan, tmp_path):
    code, _, errors = csvd("detect", scan, ANYHOW, "--dicom", "--out", tmp_path / "out")
    assert (code, len(errors)) == (2, 1)
    assert "--dicom needs the DICOM files of a scan, input" in errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_dicom_objects_of_a_real_study_are_written_and_replaced(csvd, real_scans, tmp_path):
    study, out = real_scans / "siemens-gre-magphase-dicom", tmp_path / "out"
    assert csvd("detect", study, "--out", out, "--dicom", "--operating-point", "sensitivity_90")[0] == 0
    [case] = out.iterdir()
    lesions = rows_of(case / f"{case.name}_lesions.tsv")
    segments = hd.seg.segread(case / f"{case.name}_seg.dcm").number_of_segments if lesions else 0
    groups = hd.sr.srread(case / f"{case.name}_sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert segments == len(groups) == len(lesions)
    assert csvd("detect", study, "--out", out, "--overwrite")[0] == 0
    assert not list(case.glob("*.dcm"))


@pytest.mark.slow
def test_real_t2star_scan_and_its_dicom_agree(csvd, real_scans, tmp_path):
    folder = real_scans / "siemens-mefmri-t2star-dicom"
    assert csvd("detect", folder / "me_fMRI_4_e2.nii", ANYHOW, "--out", tmp_path)[0] == 0  # without tags
    assert csvd("detect", folder / "4_me_fMRI", "--out", tmp_path)[0] == 0
    tables = [rows_of(tmp_path / name / f"{name}_lesions.tsv") for name in ("me_fMRI_4_e2", "4_me_fMRI")]
    assert tables[0] == tables[1]
    record = json.loads((tmp_path / "4_me_fMRI" / "4_me_fMRI.json").read_text())
    assert "echo 2 of 2" in record["notes"][0]
    assert record["input"]["volume"]["of"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["T1W", "T2W"])
def test_scan_that_looks_like_another_sequence_is_searched_with_a_warning(csvd, real_scans, tmp_path, weighting):
    path = real_scans / "open-ms-raw-t1-t2-flair" / f"patient01_study1_{weighting}.nii.gz"
    code, output, _ = csvd("detect", path, "--out", tmp_path / "out")
    assert code == 0
    assert "check that it is the right series" in output
    assert ("contrast" in output) == (weighting == "T1W")  # bright fluid alone is no reason


def test_scan_whose_tags_say_another_sequence_is_refused(csvd, scan, tmp_path):
    tags = {"ScanningSequence": "SE", "EchoTime": 0.09, "RepetitionTime": 4.0}
    scan.with_name("sub-01_swi.json").write_text(json.dumps(tags))
    code, _, errors = csvd("detect", scan, "--out", tmp_path / "out")
    assert (code, len(errors)) == (1, 1)
    assert "it looks like T2 (DICOM tags)" in errors[0]
    assert "--any-sequence" in errors[0]
    assert csvd("detect", scan, ANYHOW, "--out", tmp_path / "out")[0] == 0


@pytest.mark.slow
def test_crop_of_a_brain_runs_to_the_end(csvd, real_scans, tmp_path):
    assert csvd("detect", real_scans / "megre-crop-magphase" / "Mag.nii", ANYHOW, "--out", tmp_path)[0] == 0
    assert (tmp_path / "Mag" / "Mag.html").exists()


def test_help_comes_without_loading_what_takes_seconds():
    code = "import sys; sys.modules |= {'monai': None, 'torch': None}; from csvd.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert "detect" in done.stdout
