"""Detection in a folder of DICOM studies: each study gets its result or its reason."""

import pytest
from dicom_study import oblique, write_classic, write_series

from csvd.detection import detect
from csvd.runner import find_bundle

BUNDLE = find_bundle("cmb_detection")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Folder of two studies, one with a damaged SWI, one of phase images alone, and their results without DICOM."""
    folder = tmp_path_factory.mktemp("people")
    write_classic(folder / "studies" / "first", oblique(), study="1.2.1")
    swi = {"StudyInstanceUID": "1.2.1", "keep": [place for place in range(12) if place != 6]}
    write_series(folder / "studies" / "first" / "swi", number=6, **swi)
    write_classic(folder / "studies" / "second", oblique(), study="1.2.2", kind="P")
    rows = detect(folder / "studies", folder / "results", BUNDLE, any_sequence=True)
    return folder, rows


def test_every_study_has_a_row(people):
    folder, rows = people
    assert [(row["case"], row["status"]) for row in rows] == [("first", "ok"), ("second", "failed")]
    assert "images are all phase" in rows[1]["reason"]
    assert (folder / "results" / "first" / "first.html").exists()


def test_scan_in_place_of_a_damaged_one_is_told_of(people):
    _, rows = people
    told = [text for text in rows[0]["warnings"] if "series 5 't2star' was taken in place of a better one" in text]
    assert "6 mm between slices 6 and 7 of 11: slices are missing" in told[0]


def test_dicom_objects_are_added_to_results_that_are_there(people):
    folder, _ = people
    results = folder / "results" / "first"
    written = (results / "first.json").stat().st_mtime_ns
    assert not list(results.glob("*.dcm"))
    rows = detect(folder / "studies", folder / "results", BUNDLE, any_sequence=True, resume=True, dicom=True)
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert (results / "first_sr.dcm").exists()
    assert (results / "first.json").stat().st_mtime_ns == written
