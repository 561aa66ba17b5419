import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import load_decathlon_datalist
from planted import ball

from csvd.checks import InputError
from csvd.phantom.backgrounds import find_backgrounds, read_volume, write_planted_cohort


def whole(image, affine):
    return image > 0


@pytest.fixture
def scans(tmp_path):
    """Two scans, one of them with mask and phase beside it."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("one", "two_mag"):
        image, mask, affine = ball(seed=len(name))
        nib.save(nib.Nifti1Image(image.numpy(), affine.numpy()), folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(mask.numpy().astype(np.uint8), affine.numpy()), folder / "two_mask.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.float32), affine.numpy()), folder / "two_phase.nii.gz")
    return folder


def test_masks_and_phases_are_no_scans(scans):
    one, two = find_backgrounds(scans)
    assert (one.image.name, one.mask, one.phase) == ("one.nii.gz", None, None)
    assert (two.image.name, two.mask.name, two.phase.name) == ("two_mag.nii.gz", "two_mask.nii.gz", "two_phase.nii.gz")


def test_a_folder_without_scans_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no scan to plant into in .*holds no NIfTI"):
        find_backgrounds(tmp_path)


def test_of_a_series_the_last_volume_is_taken(tmp_path):
    series = np.stack([np.full((4, 4, 4), k, np.float32) for k in (1, 2)], axis=-1)
    nib.save(nib.Nifti1Image(series, np.eye(4)), tmp_path / "series.nii")
    assert read_volume(tmp_path / "series.nii")[0].unique().tolist() == [2]


@pytest.mark.parametrize(
    ("array", "message"), [(np.ones((4, 4, 1)), "needs three slices"), (np.full((4, 4, 4), np.nan), "must be finite")]
)
def test_an_image_that_cannot_be_planted_into_is_named(tmp_path, array, message):
    nib.save(nib.Nifti1Image(array.astype(np.float32), np.eye(4)), tmp_path / "bad.nii")
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / "bad.nii")


def test_a_mask_of_another_grid_is_refused(scans, tmp_path):
    with pytest.raises(InputError, match=r"one.nii.gz.*its brain mask has the shape \(2, 2, 2\)"):
        write_planted_cohort(scans, tmp_path / "out", 1, 0, find_brain=lambda image, affine: torch.ones(2, 2, 2) > 0)


def test_the_cohort_is_laid_out_as_a_simulated_one(scans, tmp_path):
    path = write_planted_cohort(scans, tmp_path / "out", 4, 3, find_brain=whole, lesions=3)
    people = list(csv.DictReader((path.parent / "participants.tsv").open(), delimiter="\t"))
    assert [row["background"] for row in people] == ["one.nii.gz", "two_mag.nii.gz"] * 2
    items = [item for part in ("validation", "test") for item in load_decathlon_datalist(path, data_list_key=part)]
    assert len(items) == 4
    for item in items:
        name = Path(item["subject"]).name  # MONAI takes it for a path
        label = np.asarray(nib.load(item["label"]).dataobj)
        rows = list(csv.DictReader((path.parent / name / f"{name}_lesions.tsv").open(), delimiter="\t"))
        person = next(row for row in people if row["participant_id"] == name)
        assert label.max() == len(rows) == int(person["microbleeds"])
        assert nib.load(item["image"]).shape == nib.load(item["mask"]).shape == label.shape
        assert ("phase" in item) == (person["background"] == "two_mag.nii.gz")


def test_all_of_one_scan_are_in_one_part(scans, tmp_path):
    path = write_planted_cohort(scans, tmp_path / "out", 6, 3, find_brain=whole, lesions=2, mimics=0)
    parts = {
        part: {item["background"] for item in json.loads(path.read_text())[part]} for part in ("validation", "test")
    }
    assert {len(backgrounds) for backgrounds in parts.values()} == {1}
    assert not parts["validation"] & parts["test"]


def test_same_seed_gives_the_same_bytes(scans, tmp_path):
    folders = [
        write_planted_cohort(scans, tmp_path / name, 1, 5, find_brain=whole).parent for name in ("first", "second")
    ]
    first, second = ({p.name: p.read_bytes() for p in f.rglob("*.nii.gz")} for f in folders)
    assert first == second


def test_command_plants_into_the_scans_of_a_folder(csvd, scans, tmp_path):
    command = ("phantom", "--backgrounds", scans, "--subjects", 3, "--seed", 2, "--split", 0, 0, 1)
    code, output, _ = csvd(*command, "--out", tmp_path / "planted")
    assert code == 0
    assert "3 scans with planted microbleeds" in output
    items = json.loads((tmp_path / "planted" / "datalist.json").read_text())["test"]
    assert len(items) == 3
    for item in items:
        label = nib.load(tmp_path / "planted" / item["label"]).get_fdata()
        table = tmp_path / "planted" / item["subject"] / f"{item['subject']}_lesions.tsv"
        assert (label.max() > 0) == (len(table.read_text().splitlines()) > 1)
    code, _, errors = csvd(*command, "--head", "--out", tmp_path / "other")
    assert (code, "--backgrounds takes no --preset" in errors[0]) == (2, True)
