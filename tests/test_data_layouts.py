"""Public data sets and BIDS folders, on tiny look-alikes with their known traps."""

import nibabel as nib
import numpy as np
import pytest
from openpyxl import Workbook
from public_sets import save, save_aibl, save_dou, save_valdo

from csvd.checks import InputError
from csvd.io import read_layout


def only(subjects):
    """Return the one item of each subject."""
    return [item for (item,) in subjects]


def world(path, voxel):
    return nib.affines.apply_affine(nib.load(path).affine, voxel).tolist()


def test_valdo_takes_the_t2s_and_leaves_the_others(tmp_path):
    save_valdo(tmp_path / "Task2")
    first, second = only(read_layout(tmp_path, "valdo"))
    assert first["image"].endswith("sub-101_space-T2S_desc-masked_T2S.nii.gz")
    assert first["label"].endswith("sub-101_space-T2S_CMB.nii.gz")
    assert (first["subject"], first["site"], second["site"], first["contrast"]) == ("sub-101", "1", "3", "dark")


def test_valdo_without_its_mask_is_named(tmp_path):
    save(tmp_path / "sub-101" / "sub-101_space-T2S_desc-masked_T2S.nii.gz")
    with pytest.raises(InputError, match=r"no microbleed mask 'sub-101_space-T2S_CMB.nii.gz' beside it"):
        read_layout(tmp_path, "valdo")


@pytest.mark.parametrize("signs", [(-1, -1, 1), (-1, 1, 1), (1, 1, 1)])  # LPS, LAS and RAS all occur
def test_dou_counts_voxels_from_one_in_any_orientation(tmp_path, signs):
    scan = save_dou(tmp_path, affine=np.diag([0.45 * signs[0], 0.45 * signs[1], 2.0 * signs[2], 1]))
    (item,) = only(read_layout(tmp_path, "dou"))
    np.testing.assert_allclose(item["points"], [world(scan, (0, 0, 0)), world(scan, (4, 5, 6))], atol=1e-3)
    assert item["subject"] == "dou-07"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (None, "has no annotation"),
        ({"centre": np.ones((1, 3))}, "must have a field 'cen' of voxels"),
        ({"cen": np.array([[13, 1, 1]])}, r"voxel \[13.0, 1.0, 1.0\], counted from 1, outside its \[12, 10"),
    ],
)
def test_dou_faults_are_named(tmp_path, fields, message):
    save_dou(tmp_path, **(fields or {}))
    if fields is None:
        (tmp_path / "ground_truth" / "07.mat").unlink()
    with pytest.raises(InputError, match=message):
        read_layout(tmp_path, "dou")


@pytest.fixture
def aibl(tmp_path):
    save_aibl(tmp_path / "PublicDataShare_2020")
    return tmp_path / "PublicDataShare_2020"


def test_aibl_tables_become_points_once_each(aibl):
    people = {subject[0]["subject"]: subject for subject in read_layout(aibl.parent, "aibl")}
    assert set(people) == {"aibl-12", "aibl-30"}
    real, synthetic = people["aibl-12"]
    scan = aibl / "rCMB_DefiniteSubject" / "12_5.nii.gz"
    np.testing.assert_allclose(real["points"], [world(scan, (2, 3, 4)), world(scan, (5, 5, 5))], atol=1e-3)
    assert (real["synthetic"], synthetic["synthetic"], len(synthetic["points"])) == (False, True, 1)
    assert people["aibl-30"][0]["points"] == []


def test_aibl_scan_that_should_have_microbleeds_is_named(aibl):
    save(aibl / "rCMB_DefiniteSubject" / "99_1.nii.gz")
    with pytest.raises(InputError, match=r"99_1.nii.gz' has no microbleed in the tables"):
        read_layout(aibl, "aibl")


def test_aibl_table_must_hold_triplets(aibl):
    book = Workbook()
    book.active.append(["12_5.nii.gz", 1, 2])
    book.save(aibl / "rCMB_more.xlsx")
    with pytest.raises(InputError, match=r"table '.*rCMB_more.xlsx': '12_5.nii.gz' must have x, y, z triplets"):
        read_layout(aibl, "aibl")


def test_bids_takes_last_echo_with_phase_mask_label_and_person(tmp_path):
    anat = tmp_path / "sub-01" / "ses-1" / "anat"
    for echo in (1, 2, 10):
        for part in ("mag", "phase"):
            save(anat / f"sub-01_ses-1_echo-{echo}_part-{part}_MEGRE.nii.gz")
    save(anat / "sub-01_ses-1_T1w.nii.gz")
    derived = tmp_path / "derivatives" / "rater" / "sub-01" / "ses-1" / "anat"
    label = save(derived / "sub-01_ses-1_label-CMB_mask.nii.gz")
    mask = save(derived / "sub-01_ses-1_desc-brain_mask.nii.gz")
    save(derived / "sub-01_ses-2_label-CMB_mask.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t71.5\tF\nsub-02\tn/a\tn/a\n")
    (item,) = only(read_layout(tmp_path, "bids"))
    assert item["image"].endswith("echo-10_part-mag_MEGRE.nii.gz")
    assert item["phase"].endswith("echo-10_part-phase_MEGRE.nii.gz")
    assert (item["label"], item["mask"]) == (str(label), str(mask))
    assert (item["age"], item["sex"], item["contrast"]) == (71.5, "F", "dark")


def test_bids_knows_which_scans_are_bright(tmp_path):
    for name in ("sub-02_swi", "sub-02_Chimap", "sub-03_part-phase_T2starw"):
        save(tmp_path / name[:6] / "anat" / f"{name}.nii.gz")
    ((chimap, swi),) = read_layout(tmp_path, "bids")
    assert (chimap["contrast"], swi["contrast"]) == ("bright", "dark")
    assert "age" not in swi


@pytest.mark.parametrize("layout", ["valdo", "dou", "aibl", "bids"])
def test_folder_of_another_layout_is_named(tmp_path, layout):
    with pytest.raises(InputError, match=f"holds no scan in the layout '{layout}'"):
        read_layout(tmp_path, layout)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'.*nowhere' is not a folder"):
        read_layout(tmp_path / "nowhere", "bids")
