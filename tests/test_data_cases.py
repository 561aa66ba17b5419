import json
from dataclasses import replace
from pathlib import Path

import pytest
import small

from csvd.checks import InputError
from csvd.io import Case, check_scan, find_cases, find_items, load_datalist, read_layout, select_fold
from csvd.phantom import PROTOCOLS, write_cohort


@pytest.fixture
def folder(save_scan, tmp_path):
    """Folder of two scans, what an earlier run left, and a subfolder."""
    for name in ("b.nii", "a.nii.gz", "a_mask.nii.gz", "a_CMB.nii", "b_part-phase_ph.nii.gz", ".1-c.nii", "sub/d.nii"):
        save_scan(name)
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


def datalist(tmp_path, content):
    path = tmp_path / "datalist.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("name", ["sub-01_T1.5_swi.nii.gz", "sub-01_T1.5_swi.nii", "sub-01_T1.5_swi.NII.GZ"])
def test_file_is_one_case_named_like_it(save_scan, name):
    [case] = find_cases(save_scan(name))
    assert case.name == "sub-01_T1.5_swi"
    assert case.item() == {"image": str(case.image), "case": case.name, "notes": "", "warnings": ""}


def test_mask_belongs_to_a_single_scan(save_scan):
    [case] = find_cases(save_scan(), mask="mask.nii")
    assert case.item()["mask"] == "mask.nii"


def test_folder_holds_its_scans_and_says_what_it_left_out(folder):
    cases = find_cases(folder)
    assert [case.name for case in cases] == ["a", "b"]
    assert cases[0].notes[0].endswith("not scans by their names: a_CMB.nii, a_mask.nii.gz, b_part-phase_ph.nii.gz")


def test_one_mask_for_several_scans_is_refused(folder):
    with pytest.raises(InputError, match=r"mask 'mask\.nii' fits one scan, .* holds 2\. Name each mask in a data list"):
        find_cases(folder, mask="mask.nii")


def test_bad_scan_does_not_hide_the_others(folder):
    (folder / "c.nii").write_bytes(b"no scan")
    assert [case.name for case in find_cases(folder)] == ["a", "b", "c"]


@pytest.mark.parametrize("second", ["a.nii", "A.nii"])
def test_scans_of_the_same_name_are_both_named(folder, save_scan, second):
    save_scan(second)
    with pytest.raises(InputError, match=r"two scans named '.': '.*[aA]\.nii.*' and '.*[aA]\.nii.*'\. Rename one"):
        find_cases(folder)


def test_folder_without_scans_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"must hold scans, it holds neither NIfTI .* nor DICOM.* in subfolders are not"
    ):
        find_cases(tmp_path)


def test_folder_of_masks_alone_is_named(tmp_path, save_scan):
    save_scan("a_mask.nii.gz")
    with pytest.raises(InputError, match=r"must hold scans, it holds only a_mask\.nii\.gz\."):
        find_cases(tmp_path)


def test_missing_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"input '.*nothing' does not exist"):
        find_cases(tmp_path / "nothing")


def test_other_format_is_named(tmp_path):
    (tmp_path / "scan.mgz").write_bytes(b"")
    with pytest.raises(InputError, match=r"input '.*scan\.mgz' is not \.nii, \.nii\.gz, a folder or a data list"):
        find_cases(tmp_path / "scan.mgz")


def test_data_list_is_read_relative_to_its_folder(save_scan, tmp_path):
    save_scan("sub-01/swi.nii.gz")
    item = {"image": "sub-01/swi.nii.gz", "mask": "sub-01/m.nii", "contrast": "bright", "subject": "sub-01"}
    first, second = find_cases(datalist(tmp_path, {"test": [item, "sub-02/swi.nii"]}))
    assert first.item() == {
        "image": str(tmp_path / "sub-01/swi.nii.gz"),
        "case": "sub-01",
        "subject": "sub-01",
        "notes": "",
        "warnings": "",
        "mask": str(tmp_path / "sub-01/m.nii"),
        "contrast": "bright",
    }
    assert (second.name, second.image) == ("swi", tmp_path / "sub-02/swi.nii")
    check_scan(first.image)


def test_phase_image_of_a_data_list_goes_into_the_item(tmp_path):
    [case] = find_cases(datalist(tmp_path, {"test": [{"image": "swi.nii", "phase": "phase.nii"}]}))
    assert case.phase == tmp_path / "phase.nii"
    assert case.item()["phase"] == str(tmp_path / "phase.nii")


def test_section_is_chosen(tmp_path):
    path = datalist(tmp_path, {"name": "cohort", "training": ["a.nii"], "test": []})
    assert [case.name for case in find_cases(path, section="training")] == ["a"]
    with pytest.raises(InputError, match=r"must have items under 'test', its sections are \['training', 'test'\]"):
        find_cases(path)


def test_training_items_keep_their_values(tmp_path):
    item = {"image": "a.nii", "label": "b.nii", "age": 70.5, "box": [[1, 2, 3, 4, 5, 6]]}
    [read] = load_datalist(datalist(tmp_path, {"training": [item]}), "training")
    assert read == {**item, "image": str(tmp_path / "a.nii"), "label": str(tmp_path / "b.nii")}


def test_several_lists_follow_each_other(tmp_path):
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(datalist(tmp_path / name, {"training": ["a.nii"]}))
    images = [item["image"] for item in load_datalist(paths, "training")]
    assert images == [str(tmp_path / "one" / "a.nii"), str(tmp_path / "two" / "a.nii")]


def test_class_label_is_no_path(tmp_path):
    [read] = load_datalist(datalist(tmp_path, {"training": [{"image": "a.nii", "label": 1}]}), "training")
    assert read["label"] == 1


def test_three_contrasts_of_one_person_are_three_cases(tmp_path):
    items = [{"image": f"sub-01/sub-01_{kind}.nii.gz", "subject": "sub-01"} for kind in ("swi", "mag", "qsm")]
    cases = find_cases(datalist(tmp_path, {"test": [*items, {"image": "other.nii", "subject": "sub-02"}]}))
    assert [case.name for case in cases] == ["sub-01_swi", "sub-01_mag", "sub-01_qsm", "sub-02"]
    assert [case.subject for case in cases] == ["sub-01"] * 3 + ["sub-02"]


def test_simulated_cohort_with_three_contrasts_has_a_case_for_each(tmp_path, monkeypatch):
    contrasts = ("swi", "mag", "qsm")
    monkeypatch.setitem(PROTOCOLS, "tiny", replace(small.PROTOCOL, contrasts=contrasts))
    path = write_cohort("tiny", 2, tmp_path / "cohort", 0, split=(0, 0, 1), jobs=1)
    cases = find_cases(path)
    names = [f"sub-00{number}_{contrast}" for number in (1, 2) for contrast in contrasts]
    assert sorted(case.name for case in cases) == sorted(names)
    assert {case.subject for case in cases} == {"sub-001", "sub-002"}


def test_visits_of_one_person_are_told_apart_by_their_files(tmp_path):
    folders = ("sub-01/ses-1/anat", "sub-01/ses-2/anat")
    items = [{"image": f"{folder}/swi.nii.gz", "subject": "sub-01"} for folder in folders]
    assert [case.name for case in find_cases(datalist(tmp_path, {"test": items}))] == [
        "ses-1_anat_swi",
        "ses-2_anat_swi",
    ]


def test_visits_of_a_bids_folder_are_cases_of_one_person(save_scan, tmp_path):
    for visit in ("1", "2"):
        save_scan(f"sub-01/ses-{visit}/anat/sub-01_ses-{visit}_swi.nii.gz")
    names = [(case.name, case.subject) for case in find_cases(tmp_path)]
    assert names == [("sub-01_ses-1_swi", "sub-01"), ("sub-01_ses-2_swi", "sub-01")]
    items = [item for items in read_layout(tmp_path, "bids", None) for item in items]
    items = [{**item, "image": str(item["image"])} for item in items]
    named = [(case.name, case.subject) for case in find_cases(datalist(tmp_path, {"test": items}))]
    assert named == names


def test_data_list_may_name_its_cases(tmp_path):
    items = [{"image": f"{name}.nii", "subject": "sub-01", "case": f"visit {name}"} for name in "ab"]
    assert [case.name for case in find_cases(datalist(tmp_path, {"test": items}))] == ["visit a", "visit b"]


def test_case_that_is_named_twice_is_refused(tmp_path):
    items = [{"image": "a.nii", "case": "one"}, {"image": "b.nii", "case": "One"}]
    with pytest.raises(InputError, match=r"two scans named 'One': '.*a\.nii' and '.*b\.nii'\. Rename one"):
        find_cases(datalist(tmp_path, {"test": items}))


@pytest.mark.parametrize("content", ["{", "", "not json"])
def test_damaged_data_list_is_named(tmp_path, content):
    with pytest.raises(InputError, match=r"data list '.*datalist\.json' is not JSON"):
        find_cases(datalist(tmp_path, content))


def test_missing_data_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data list '.*nothing\.json' does not exist"):
        load_datalist(tmp_path / "nothing.json", "training")


def test_list_without_sections_is_named(tmp_path):
    with pytest.raises(InputError, match=r"must have items under 'test', its sections are \[\]"):
        find_cases(datalist(tmp_path, ["a.nii"]))


@pytest.mark.parametrize("item", [{"label": "a.nii"}, {"image": ["a.nii", "b.nii"]}, 3])
def test_item_without_one_image_is_named(tmp_path, item):
    with pytest.raises(InputError, match=r"item 1 of 'test' must have one path under 'image', it is"):
        find_cases(datalist(tmp_path, {"test": ["c.nii", item]}))


def test_unknown_contrast_is_named(tmp_path):
    with pytest.raises(InputError, match="`contrast` of case 'a' must be 'dark' or 'bright', it is 'swi'"):
        find_cases(datalist(tmp_path, {"test": [{"image": "a.nii", "contrast": "swi"}]}))


@pytest.mark.parametrize("subject", ["../a", "a/b", "..", ""])
def test_subject_that_cannot_name_a_folder_is_refused(tmp_path, subject):
    with pytest.raises(InputError, match=f"case '{subject}' must be usable as a folder name"):
        find_cases(datalist(tmp_path, {"test": [{"image": "a.nii", "subject": subject}]}))


def test_config_gets_items_of_a_folder(folder):
    assert [item["case"] for item in find_items(folder)] == ["a", "b"]


def test_a_fold_is_left_out_or_taken_alone():
    items = [{"image": f"{k}.nii", "fold": k % 3} for k in range(6)]
    assert [item["image"] for item in select_fold(items, 1)] == ["0.nii", "2.nii", "3.nii", "5.nii"]
    assert [item["image"] for item in select_fold(items, 1, held_out=True)] == ["1.nii", "4.nii"]
    with pytest.raises(InputError, match=r"fold 5 leaves no image, the data list has the folds \[0, 1, 2\]"):
        select_fold(items, 5, held_out=True)
    with pytest.raises(InputError, match=r"image 'a.nii' must have a number under 'fold'"):
        select_fold([{"image": "a.nii"}], 0)


@pytest.mark.parametrize(
    ("name", "sequence", "swi"),
    [
        ("sub-01_swi.nii.gz", None, True),
        ("SWI.nii", None, True),
        ("sub-01_T2starw.nii.gz", None, False),
        ("swirl.nii", None, False),
        ("sub-01_swi.nii.gz", "T2*-GRE", False),
        ("a.nii", "SWI", True),
    ],
)
def test_swi_is_known_by_its_sequence_else_by_the_last_word_of_its_name(name, sequence, swi):
    assert Case("a", Path(name), sequence=sequence).is_swi == swi
    assert not Case("a", Path(name), sequence=sequence, contrast="bright").is_swi
