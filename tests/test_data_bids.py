"""BIDS folders: every susceptibility scan becomes one case, of the right file, with what is known of it."""

import pytest
from bids import make_awkward, make_bids, save_json, save_noise

from csvd.checks import InputError
from csvd.io import (
    bids_root,
    check_scan,
    find_cases,
    find_items,
    is_bids,
    read_sidecar,
    sequence_of_name,
    sequence_of_tags,
)
from csvd.io.bids.folders import bids_scans
from csvd.io.bids.sidecars import echo_ms


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_awkward(make_bids(tmp_path_factory.mktemp("bids")))


@pytest.fixture(scope="module")
def cases(root):
    return {case.name: case for case in find_cases(root)}


def test_each_susceptibility_scan_is_one_case(cases):
    assert sorted(cases) == [
        "sub-01_ses-1_T2starw",
        "sub-01_ses-2_Chimap",
        "sub-01_ses-2_T2starw",
        "sub-02_acq-x_run-1_T2starw",
        "sub-02_acq-x_run-2_T2starw",
        "sub-03_MEGRE",
        "sub-04_swi",
        "sub-05_GRE",
        "sub-06_MEGRE",
        "sub-06_swi",
        "sub-07_swi",
    ]


def test_susceptibility_maps_are_bright(cases):
    bright = {name for name, case in cases.items() if case.contrast == "bright"}
    assert bright == {"sub-01_ses-2_Chimap"}
    assert {case.contrast for case in cases.values()} == {"bright", "dark"}


def test_longest_echo_up_to_50_ms_is_taken_with_its_phase(cases):
    case = cases["sub-03_MEGRE"]
    assert case.image.name == "sub-03_echo-2_part-mag_MEGRE.nii.gz"
    assert case.phase.name == "sub-03_echo-2_part-phase_MEGRE.nii.gz"
    assert case.notes == ["echo-2, chosen from 3 (TE 35 ms)"]
    assert case.item()["phase"] == str(case.phase)


def test_last_echo_is_taken_when_sidecars_tell_no_times(tmp_path):
    for echo in (1, 2, 10):
        save_noise(tmp_path / "sub-1" / "anat" / f"sub-1_echo-{echo}_MEGRE.nii.gz")
    (case,) = find_cases(tmp_path)
    assert case.image.name == "sub-1_echo-10_MEGRE.nii.gz"
    assert case.notes == ["echo-10, chosen from 3 (the last; not all echo times are known)"]


def test_echo_times_in_ms_are_read_so_with_a_warning(tmp_path):
    for echo, milliseconds in enumerate((8.0, 20.0, 35.0, 60.0), 1):
        image = save_noise(tmp_path / "sub-1" / "anat" / f"sub-1_echo-{echo}_MEGRE.nii.gz")
        save_json(image.with_name(f"sub-1_echo-{echo}_MEGRE.json"), {"EchoTime": milliseconds})
    [scan] = bids_scans(tmp_path)
    assert scan.image.name == "sub-1_echo-3_MEGRE.nii.gz"
    assert scan.notes == ["echo-3, chosen from 4 (TE 35 ms)"]
    assert "sub-1_echo-4_MEGRE.json' says EchoTime 60.0, which is implausible in seconds" in scan.warnings[0]
    assert scan.warnings[1:] == ["more sidecars of its echoes have faults: 3"]


@pytest.mark.parametrize("wrong", ["n/a", None, "", [], "0.03 to 0.04"])
def test_echo_of_a_time_that_is_none_is_told(tmp_path, wrong):
    for echo, time in enumerate((0.01, wrong, 0.02), 1):
        image = save_noise(tmp_path / "sub-1" / "anat" / f"sub-1_echo-{echo}_MEGRE.nii.gz")
        save_json(image.with_name(f"sub-1_echo-{echo}_MEGRE.json"), {"EchoTime": time})
    [scan] = bids_scans(tmp_path)
    assert scan.notes == ["echo-3, chosen from 3 (the last; not all echo times are known)"]
    [said] = scan.warnings
    assert f"sub-1_echo-2_MEGRE.json' says EchoTime {wrong!r}, which must be a number, and was not used" in said


def test_projection_is_left_out_beside_another_scan_and_warned_of_alone(tmp_path):
    for name in ("sub-1_acq-minIP_swi", "sub-1_acq-orig_swi", "sub-2_acq-mIP_swi", "sub-3_acq-mipfree_swi"):
        save_noise(tmp_path / name[:5] / "anat" / f"{name}.nii.gz")
    scans = {scan.name: scan for scan in bids_scans(tmp_path)}
    assert sorted(scans) == ["sub-1_acq-orig_swi", "sub-2_acq-mIP_swi", "sub-3_acq-mipfree_swi"]
    assert scans["sub-1_acq-orig_swi"].notes == [
        "left out 'sub-1_acq-minIP_swi.nii.gz', an intensity projection by its name"
    ]
    [said] = scans["sub-2_acq-mIP_swi"].warnings
    assert "'sub-2_acq-mIP_swi.nii.gz' is an intensity projection by its name" in said
    assert scans["sub-3_acq-mipfree_swi"].warnings == []


@pytest.mark.parametrize("part", ["phase", "real"])
def test_session_without_magnitude_is_a_scan_that_is_missing(tmp_path, part):
    for name in (f"sub-1_part-{part}_T2starw", "sub-2_T2starw", f"sub-2_acq-x_part-{part}_T2starw"):
        save_noise(tmp_path / name[:5] / "anat" / f"{name}.nii.gz")
    assert [scan.name for scan in bids_scans(tmp_path)] == ["sub-2_T2starw"]
    missing, there = bids_scans(tmp_path, missing=True)
    assert (missing.name, there.name) == ("sub-1_T2starw", "sub-2_T2starw")
    assert missing.warnings == [
        f"of scan 'sub-1_T2starw' there is 'sub-1_part-{part}_T2starw.nii.gz', but no magnitude"
    ]
    with pytest.raises(InputError, match=r"scan '.*sub-1_part-mag_T2starw.nii.gz' does not exist"):
        check_scan(missing.image)


def test_spaces_and_umlauts_in_path_and_session_do_not_matter(tmp_path):
    root = tmp_path / "Meine Studie (ü) [x] #1"
    save_noise(root / "sub-1" / "ses-base line" / "anat" / "sub-1_ses-base line_run-1_swi.nii.gz")
    save_json(root / "swi.json", {"EchoTime": 0.02})
    [scan] = bids_scans(root)
    assert scan.name == "sub-1_ses-base line_run-1_swi"
    assert bids_root(scan.image) == root
    assert read_sidecar(scan.image) == ({"EchoTime": 0.02}, [])
    assert check_scan(scan.image).shape == (32, 32, 32)


def test_magnitude_of_a_swi_is_no_second_case_and_lends_its_phase(cases):
    assert cases["sub-04_swi"].image.name == "sub-04_swi.nii.gz"
    assert cases["sub-04_swi"].phase.name == "sub-04_part-phase_T2starw.nii.gz"


def test_scan_of_its_own_beside_a_swi_is_a_second_case(tmp_path):
    for name in ("sub-1_swi", "sub-1_T2starw", "sub-1_part-mag_MEGRE", "sub-1_acq-x_part-mag_MEGRE"):
        save_noise(tmp_path / "sub-1" / "anat" / f"{name}.nii.gz")
    assert {case.name for case in find_cases(tmp_path)} == {"sub-1_acq-x_MEGRE", "sub-1_T2starw", "sub-1_swi"}


def test_folder_of_bep_4_is_read(cases):
    assert cases["sub-05_GRE"].image.name == "sub-05_part-mag_GRE.nii.gz"
    assert cases["sub-05_GRE"].phase.name == "sub-05_part-phase_GRE.nii.gz"


def test_age_and_sex_are_listed(cases, root):
    assert cases["sub-01_ses-1_T2starw"].listed == {"age": 71.5, "sex": "F"}
    assert cases["sub-02_acq-x_run-1_T2starw"].listed == {"sex": "M"}
    assert cases["sub-03_MEGRE"].listed == {}
    assert [item["age"] for item in find_items(root, also=["age"]) if "age" in item] == [71.5] * 3


def test_broken_files_are_cases_that_fail_with_a_reason(cases):
    for name, reason in (("sub-06_swi", "is truncated"), ("sub-06_MEGRE", "is not a sound gzip file")):
        with pytest.raises(InputError, match=reason):
            check_scan(cases[name].image)


def test_link_to_nothing_says_how_to_get_its_content(cases, root):
    reason = r"scan '.*sub-07_swi\.nii\.gz' is a link to '.*annex.*', which is not here.*`datalad get '.*sub-07_swi"
    with pytest.raises(InputError, match=reason):
        check_scan(cases["sub-07_swi"].image)
    (alone,) = find_cases(root / "sub-07" / "anat" / "sub-07_swi.nii.gz")
    with pytest.raises(InputError, match=reason):
        check_scan(alone.image)


def test_pointer_of_git_annex_says_how_to_get_its_content(tmp_path):
    pointer = tmp_path / "sub-1_swi.nii.gz"
    pointer.write_text("/annex/objects/MD5E-s9--ab.nii.gz\n")
    with pytest.raises(InputError, match=r"is a pointer of git-annex, not an image\. Get .*`datalad get"):
        check_scan(pointer)


def test_same_name_in_two_formats_is_refused(tmp_path):
    for ending in ("nii", "nii.gz"):
        save_noise(tmp_path / "sub-1" / "anat" / f"sub-1_swi.{ending}")
    with pytest.raises(InputError, match="two scans named 'sub-1_swi'"):
        find_cases(tmp_path)


def test_folder_without_susceptibility_scans_says_what_it_holds(tmp_path):
    save_noise(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz")
    with pytest.raises(InputError, match=r"must hold scans named swi, .* it holds T1w\. Name the scans so"):
        find_cases(tmp_path)


def test_folder_is_known_by_its_description_or_its_subjects(tmp_path, root):
    assert is_bids(root)
    assert not is_bids(tmp_path)
    save_noise(tmp_path / "sub-001" / "sub-001_swi.nii.gz")  # as csvd simulates them
    assert not is_bids(tmp_path)
    (tmp_path / "sub-001" / "ses-1" / "anat").mkdir(parents=True)
    assert is_bids(tmp_path)


def test_nearer_sidecars_and_those_of_more_entities_go_first(tmp_path):
    image = save_noise(tmp_path / "sub-1" / "ses-2" / "anat" / "sub-1_ses-2_echo-2_MEGRE.nii.gz")
    save_json(tmp_path / "MEGRE.json", {"EchoTime": 0.1, "Modality": "MR", "A": "root", "B": "root", "C": "root"})
    save_json(tmp_path / "echo-2_MEGRE.json", {"A": "echo"})
    save_json(tmp_path / "echo-1_MEGRE.json", {"A": "other echo"})
    save_json(tmp_path / "T2starw.json", {"A": "other suffix"})
    save_json(tmp_path / "sub-1" / "sub-1_MEGRE.json", {"B": "subject"})
    save_json(image.parent / "sub-1_ses-2_echo-2_MEGRE.json", {"EchoTime": 0.03, "C": "own"})
    assert bids_root(image) == tmp_path
    tags = {"EchoTime": 0.03, "Modality": "MR", "A": "echo", "B": "subject", "C": "own"}
    assert read_sidecar(image) == (tags, [])
    assert echo_ms(tags) == pytest.approx(30)


def test_tags_that_are_inherited_name_the_sequence(root):
    tags, _ = read_sidecar(root / "sub-02" / "anat" / "sub-02_acq-x_run-1_T2starw.nii.gz")
    assert sequence_of_tags(tags) == "T2*-GRE"


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("swi", "SWI"),
        ("acq-x_T2starw", "T2*-GRE"),
        ("part-phase_T2starw", "phase"),
        ("Chimap", "QSM"),
        ("FLAIR", "FLAIR"),
        ("bold", None),
    ],
)
def test_suffix_names_the_sequence_in_a_bids_folder(tmp_path, name, sequence):
    assert sequence_of_name(tmp_path / "sub-1" / "anat" / f"sub-1_{name}.nii.gz") == sequence
    assert sequence_of_name(tmp_path / "sub-1" / "ses-1" / "anat" / f"sub-1_ses-1_{name}.nii.gz") == sequence
    assert sequence_of_name(tmp_path / "sub-1" / f"sub-1_{name}.nii.gz") is None
