"""Series whose identifiers exports and anonymising programs broke are the scans that they were."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from dicom_study import SIZE, change, oblique, pixels, seen, write_classic, write_enhanced, write_series

from csvd.checks import InputError
from csvd.io import find_cases
from csvd.io.dicom.series import sort_series

PHASE_TYPES = ("ORIGINAL", "PRIMARY", "P", "ND")
OTHER_TYPES = ("ORIGINAL", "PRIMARY", "OTHER")
ORDER = np.random.default_rng(3).permutation(SIZE[2])


def phase_pixels():
    return np.random.default_rng(1).integers(0, 4096, SIZE).astype(np.uint16)


def study_of(folder, tmp_path):
    [case] = find_cases(folder)
    (tmp_path / "work").mkdir()
    return case.converted(tmp_path / "work")


def assert_is_the_scan(case, folder, files=SIZE[2]):
    np.testing.assert_array_equal(seen(case.image), pixels(20.0))
    assert len(case.dicom) == files
    assert all(folder in path.parents and path.exists() for path in case.dicom)
    assert not case.warnings
    assert "/work/" not in "\n".join(case.notes)  # the temporary folder


@pytest.mark.parametrize(
    "tags",
    [
        {"StudyInstanceUID": lambda place: f"1.2.{place + 50}"},
        {"SeriesInstanceUID": lambda place: f"1.2.3.{place + 50}"},
        {"StudyInstanceUID": lambda place: f"1.2.{place}", "SeriesInstanceUID": lambda place: f"1.2.3.{place}"},
        {"SOPInstanceUID": "1.2.3.4.5"},
        {"InstanceNumber": lambda place: int(ORDER[place]) + 1},
        {"InstanceNumber": 1},
        {"InstanceNumber": None},
        {"SeriesNumber": None, "SeriesDescription": "SWI"},
        {"SeriesInstanceUID": ""},
        {"StudyInstanceUID": ""},
        {"SOPInstanceUID": ""},
        {"FrameOfReferenceUID": lambda place: f"1.2.9.{place}"},
    ],
    ids=lambda tags: "-".join(
        f"{name} {'by slice' if callable(value) else repr(value)}" for name, value in tags.items()
    ),
)
def test_one_scan_whatever_its_identifiers(tmp_path, tags):
    write_series(tmp_path / "study", **tags)
    case = study_of(tmp_path / "study", tmp_path)
    assert case.name == "study"
    assert_is_the_scan(case, tmp_path / "study")


@pytest.mark.parametrize("places", ["same folder", "two folders"])
def test_magnitude_and_phase_with_a_study_per_file_are_one_study(tmp_path, places):
    folders = [tmp_path / "study" / name for name in ("a", "a" if places == "same folder" else "b")]
    write_series(folders[0], StudyInstanceUID=lambda place: f"1.2.{place + 50}")
    phase = {"number": 2, "types": PHASE_TYPES, "prefix": "p"}
    write_series(folders[1], phase_pixels(), StudyInstanceUID=lambda place: f"1.2.{place + 90}", **phase)
    case = study_of(tmp_path / "study", tmp_path)
    assert_is_the_scan(case, folders[0])
    np.testing.assert_array_equal(seen(case.phase), phase_pixels())


def test_two_people_with_a_study_per_file_in_one_folder_are_two_scans(tmp_path):
    for person in ("A", "B"):
        uid = lambda place, person=person: f"1.2.{ord(person)}{place}"  # noqa: E731
        write_series(tmp_path / "people", prefix=person, PatientID=person, StudyInstanceUID=uid)
    cases = find_cases(tmp_path / "people")
    assert [{path.name[0] for path in case.dicom} for case in cases] in ([{"A"}, {"B"}], [{"B"}, {"A"}])


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_people_whose_identifiers_are_all_the_same_are_not_mixed(tmp_path, tag):
    for person in ("A", "B"):
        uids = {"StudyInstanceUID": f"1.2.{ord(person)}", tag: "1.2.3.4"}
        write_series(tmp_path / "people" / person, PatientID=person, prefix=person, **uids)
    cases = find_cases(tmp_path / "people")
    assert [{path.name[0] for path in case.dicom} for case in cases] == [{"A"}, {"B"}]


def test_nameless_people_in_one_folder_with_an_identifier_per_file_are_refused(tmp_path):
    for person in ("A", "B"):
        tags = {
            name: lambda place, p=person: f"1.2.{ord(p)}.{place}" for name in ("StudyInstanceUID", "SeriesInstanceUID")
        }
        write_series(tmp_path / "people", pixels(20.0, seed=ord(person)), prefix=person, PatientID="", **tags)
    with pytest.raises(InputError, match="2 images at each place, and each file has a SeriesInstanceUID of its own"):
        study_of(tmp_path / "people", tmp_path)


def test_series_of_one_uid_are_told_apart_by_their_numbers(tmp_path):
    t1 = {"EchoTime": 3.0, "ScanningSequence": ["GR", "IR"], "InversionTime": 900.0, "description": "t1_mpr"}
    for number, tags in enumerate(
        ({}, {"types": ("ORIGINAL", "PRIMARY", "M", "ND"), "description": "Mag"}, t1), start=1
    ):
        volume = pixels(20.0) if number == 1 else pixels(5.0)
        write_series(
            tmp_path / "study", volume, number=number, prefix=f"{number}_", SeriesInstanceUID="1.2.3.4", **tags
        )
    case = study_of(tmp_path / "study", tmp_path)
    assert_is_the_scan(case, tmp_path / "study")
    assert "series of the study: 1 'SWI', 2 'Mag', 3 't1_mpr'" in case.notes


def test_magnitude_and_phase_under_one_series_uid_are_told_apart(tmp_path):
    write_series(tmp_path / "study", SeriesInstanceUID="1.2.3.4", InstanceNumber=lambda place: 2 * place + 1)
    phase = {"types": PHASE_TYPES, "prefix": "p", "InstanceNumber": lambda place: 2 * place + 2}
    write_series(tmp_path / "study", phase_pixels(), SeriesInstanceUID="1.2.3.4", **phase)
    case = study_of(tmp_path / "study", tmp_path)
    assert_is_the_scan(case, tmp_path / "study")
    assert {path.name[0] for path in case.dicom} == {"s"}
    np.testing.assert_array_equal(seen(case.phase), phase_pixels())


@pytest.mark.parametrize("one_uid", [True, False])
@pytest.mark.parametrize(
    "says",
    [{"ImageComments": "relative phase map"}, {"DerivationDescription": "Phase image"}, {"description": "Pha_Images"}],
)
def test_phase_told_by_a_comment_alone_is_the_phase(tmp_path, says, one_uid):
    uid = {"SeriesInstanceUID": "1.2.3.4"} if one_uid else {}
    write_series(tmp_path / "study", number=2, types=OTHER_TYPES, **uid)
    write_series(tmp_path / "study", phase_pixels(), number=1, types=OTHER_TYPES, prefix="p", **says, **uid)
    case = study_of(tmp_path / "study", tmp_path)
    assert_is_the_scan(case, tmp_path / "study")
    np.testing.assert_array_equal(seen(case.phase), phase_pixels())
    assert "PHASE" in json.loads(case.phase.with_suffix(".json").read_text())["ImageType"]


@pytest.mark.parametrize("new_uids", [False, True])
@pytest.mark.parametrize("place", [".", "copy"])
def test_slices_that_are_there_twice_count_once(tmp_path, new_uids, place):
    paths = write_series(tmp_path / "study", SeriesInstanceUID="1.2.3.4")
    for path in paths:
        copy = tmp_path / "study" / place / f"copy_{path.name}"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
        if new_uids:
            change([copy], SOPInstanceUID=f"1.2.3.4.{path.name[1:].lstrip('0') or '999'}", InstanceNumber=77)
    case = study_of(tmp_path / "study", tmp_path)
    assert_is_the_scan(case, tmp_path / "study")
    assert "series 1 'SWI': 12 DICOM files are copies, left out" in case.notes


def test_volumes_of_one_place_with_other_pixels_are_no_copies(tmp_path):
    for number in (1, 2):
        tags = {"SeriesInstanceUID": "1.2.3.4", "prefix": f"v{number}_", "AcquisitionNumber": number}
        write_series(tmp_path / "study", pixels(20.0, seed=number), **tags)
    case = study_of(tmp_path / "study", tmp_path)
    assert nib.load(case.image).shape == (48, 40, 12, 2)
    assert len(case.dicom) == 24


def test_same_file_of_an_enhanced_series_counts_once(tmp_path):
    write_enhanced(tmp_path / "study" / "1.dcm", oblique(), echoes=(20.0,))
    shutil.copyfile(tmp_path / "study" / "1.dcm", tmp_path / "study" / "2.dcm")
    [series] = sort_series(sorted((tmp_path / "study").iterdir()))[0]
    assert [path.name for path in series.files] == ["1.dcm"]


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("SWI täglich", "ISO_IR 100"),
        ("СВИ мозг", "ISO_IR 144"),
        ("SWI 测试", "GB18030"),
        ("SWI 能ソ表", ["", "ISO 2022 IR 87"]),
        ("SWI 뇌", ["", "ISO 2022 IR 149"]),
        ("SWI εγκέφαλος", "ISO_IR 192"),
    ],
)
def test_series_described_in_another_alphabet_is_named_in_it(tmp_path, text, charset):
    folder = tmp_path / "Müller Søren 测试"
    tags = {"SpecificCharacterSet": charset, "PatientName": "A^B", "ProtocolName": text}
    write_series(folder / "swi scan", description=text, **tags)
    case = study_of(folder, tmp_path)
    assert case.name == folder.name
    assert_is_the_scan(case, folder / "swi scan")
    assert f"series 1 '{text}'" in case.notes[0]
    assert json.loads(case.image.with_suffix(".json").read_text(encoding="utf-8"))["SeriesDescription"] == text


def test_text_that_breaks_its_character_set_does_no_harm(tmp_path):
    for path in write_series(tmp_path / "study", description="SWI XXXX"):
        path.write_bytes(
            path.read_bytes().replace(b"SWI XXXX", b'SWI\xff\n\x01"\\').replace(b"ISO_IR 100", b"ISO_IR 999")
        )
    assert_is_the_scan(study_of(tmp_path / "study", tmp_path), tmp_path / "study")


def test_series_without_number_is_called_by_its_description(tmp_path):
    write_classic(tmp_path / "study", oblique(), number=5, description="gre", echoes=(20.0,))
    change((tmp_path / "study").iterdir(), SeriesNumber=None)
    case = study_of(tmp_path / "study", tmp_path)
    assert "of series 'gre', magnitude" in case.notes[0]
    assert "SeriesNumber" not in json.loads(case.image.with_suffix(".json").read_text())
