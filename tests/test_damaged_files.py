"""What benchmarks/fuzz.py found: inputs that gave an internal error, each of which is one clear line now."""

import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from dicom_study import change, write_series
from small_bundle import write_bundle, write_scan

from csvd.checks import LONGEST_LINE, BundleError, InputError, reason
from csvd.engines.weights import read_state
from csvd.io import check_scan, find_cases, slicer_items
from csvd.io.bids.description import read_description
from csvd.io.dicom.files import read_tags
from csvd.io.dicom.stacks import overlaps
from csvd.io.nifti import read_once
from csvd.io.nifti_files import check_size
from csvd.io.slicer.markups import read_markups
from csvd.io.subjects import with_answer

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture
def deep(tmp_path):
    """A file of many brackets, one in the other."""
    path = tmp_path / "deep.json"
    path.write_text(DEEP)
    return path


@pytest.mark.parametrize("read", [find_cases, read_markups, lambda path: with_answer({"label": str(path)})])
def test_brackets_in_too_many_others_are_named(deep, read):
    with pytest.raises(InputError, match=r"deep\.json' is not JSON of csvd \(brackets in too many others\)"):
        read(deep)


def test_description_of_too_many_brackets_is_one_of_a_name_alone(deep):
    shutil.copy(deep, deep.with_name("dataset_description.json"))
    assert read_description(deep.parent) == {"Name": "unknown"}


def test_label_file_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "label.json").write_text("[1]")
    with pytest.raises(InputError, match=r"must hold `label`, age and sex by name, it is \[1\]"):
        with_answer({"label": str(tmp_path / "label.json")})


@pytest.mark.parametrize("key", ["mask", "phase"])
def test_mask_and_phase_of_a_list_are_paths(tmp_path, key):
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": "a.nii", key: 5}]}))
    with pytest.raises(InputError, match="`mask` and `phase` of case 'a' must be paths"):
        find_cases(tmp_path / "list.json")


def test_unknown_type_of_voxels_is_a_damaged_header(save_scan):
    path = save_scan("scan.nii")
    content = bytearray(path.read_bytes())
    content[70:72] = (32767).to_bytes(2, "little")
    path.write_bytes(content)
    packed = path.with_name("scan.nii.gz")
    nib.openers.Opener(str(packed), "wb").write(bytes(content))
    for file in (path, packed):
        with read_once(), pytest.raises(InputError, match=r"damaged header \(data code 32767 not recognized"):
            check_scan(file)


def test_file_that_is_too_small_for_its_voxels_is_refused_before_they_are_read(save_scan):
    path = save_scan("scan.nii")
    header = nib.Nifti1Image.from_filename(path).header.copy()
    header["vox_offset"] = 352
    assert check_size(path, header, "scan") == path.stat().st_size
    header["dim"][3] = 15
    with pytest.raises(InputError, match="is truncated or damaged: a file of 4720 bytes cannot hold its voxels"):
        check_size(path, header, "scan")


def test_large_scan_of_zeros_is_refused_before_it_is_read(tmp_path):
    image = nib.Nifti1Image(np.zeros((300, 300, 800), np.uint8), np.eye(4))
    (tmp_path / "zeros.nii.gz").write_bytes(gzip.compress(image.to_bytes()))
    with pytest.raises(InputError, match="nearly all its voxels are equal"):
        check_scan(tmp_path / "zeros.nii.gz")


@pytest.mark.parametrize(
    "change_record",
    [{"case": None}, {"case": [1]}, {"sha256": []}, {"input": 1}, {"input": {"file": [1]}}, {"contrast": "$1/0"}],
)
def test_damaged_record_of_a_result_is_named(tmp_path, change_record):
    record = {"case": "a", "sha256": {}, "input": {"file": "a.nii", "shape": [1, 1, 1]}, "contrast": "dark"}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.json").write_text(json.dumps(record | change_record))
    with pytest.raises(InputError, match=r"a\.json' is damaged"):
        slicer_items(tmp_path)


def test_damaged_weights_and_those_that_are_no_state_are_named(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK no archive")
    with pytest.raises(InputError, match=r"model\.pt' cannot be read \(\w+\): the file is damaged"):
        read_state(path)
    torch.save({"epoch": 1}, path)
    with pytest.raises(InputError, match="must be a bare state dict"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (DEEP, "is not JSON of csvd"),
        ("[]", "must hold values by name, it holds []"),
        ('{"network_def": 1, "evaluator": {"_target_": "none.of.these"}}', "cannot be made from its configs"),
    ],
)
def test_broken_config_ends_the_command_with_a_line(csvd, tmp_path, content, message):
    bundle = write_bundle(tmp_path / "bundle")
    write_scan(tmp_path / "a.nii.gz", 1)
    (bundle / "configs" / "inference.json").write_text(content)
    code, _, errors = csvd("detect", tmp_path / "a.nii.gz", "--out", tmp_path / "out", "--bundle", bundle)
    assert (code, len(errors)) == (2, 1)
    assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_tag_that_no_dicom_object_takes_over_is_a_reason(csvd, bundle, tmp_path):
    paths = write_series(tmp_path / "study")
    change(paths, SpecificCharacterSet="none")
    command = ("detect", tmp_path / "study", "--out", tmp_path / "out", "--bundle", bundle, "--dicom")
    code, _, errors = csvd(*command)
    assert (code, len(errors)) == (1, 1)
    assert "cannot be written as DICOM, because a tag of its images breaks the standard" in errors[0]
    assert not (tmp_path / "out" / "study").exists()


@pytest.mark.parametrize("tags", [{"PixelRepresentation": 3}, {"Rows": 0}])
def test_pixels_that_cannot_be_read_are_a_reason(csvd, bundle, tmp_path, tags):
    paths = write_series(tmp_path / "study")
    change(paths, **tags)
    command = ("detect", tmp_path / "study", "--out", tmp_path / "out", "--bundle", bundle, "--dicom")
    code, _, errors = csvd(*command)
    assert (code, len(errors)) == (1, 1)
    assert "internal error" not in errors[0]


def test_no_slices_overlap_where_there_are_none():
    assert not overlaps([])


@pytest.mark.parametrize("where", [0, 5, -1])
def test_tag_longer_than_memory_ends_where_its_file_does(csvd, bundle, monkeypatch, tmp_path, where):
    def without_memory(source, **options):
        if isinstance(source, Path) and source == damaged:
            raise MemoryError
        return whole(source, **options)

    paths = write_series(tmp_path / "study")
    damaged, whole = paths[where], pydicom.dcmread
    command = ("detect", tmp_path / "study", "--bundle", bundle, "--dicom", "--json", "--out")
    rows = [json.loads(csvd(*command, tmp_path / "enough")[1])]
    monkeypatch.setattr(pydicom, "dcmread", without_memory)
    rows.append(json.loads(csvd(*command, tmp_path / "little")[1]))
    assert rows[0][0]["status"] == "ok"
    assert rows[0][0]["source_sha256"] == rows[1][0]["source_sha256"]
    assert rows[0][0]["sha256"]["study_cmb.nii.gz"] == rows[1][0]["sha256"]["study_cmb.nii.gz"]
    assert read_tags(damaged, ["Modality"]) == {"Modality": ["MR"]}


def test_long_values_are_shortened_in_errors():
    text = reason(InputError("a" * 5000 + " Correct it."))
    assert len(text) <= LONGEST_LINE
    assert text.endswith("a Correct it.")
    assert len(reason(KeyError("b" * 5000))) < LONGEST_LINE


def test_error_in_a_bundle_of_the_user_names_the_bundle():
    error = BundleError("mine")
    error.__cause__ = KeyError("x")
    assert reason(error).startswith("internal error, KeyError: 'x'. Report it")
    assert reason(error).endswith("unless it is the fault of bundle 'mine', which did not come with csvd.")
