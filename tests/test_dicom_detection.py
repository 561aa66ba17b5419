"""Detection in a folder of DICOM studies: each study gets its result or its reason."""

import numpy as np
import pytest
from dicom_study import oblique, pixels, write_classic, write_series

from csvd.bundles import find_bundle
from csvd.workflows.detection import detect

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


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_reason_and_warnings_name_the_folder_of_the_user(tmp_path, place):
    """A study of constant images beside two that are well, converted into temporary files that are gone."""
    names = {"first": "a", "middle": "c", "last": "e"}
    for number, name in enumerate((names[place], "b", "d")):
        volume = np.full_like(pixels(20.0), 300) if number == 0 else None
        write_series(tmp_path / "studies" / name, volume, StudyInstanceUID=f"1.2.{number}")
    rows = detect(tmp_path / "studies", tmp_path / "out", BUNDLE, any_sequence=True)
    assert [row["case"] for row in rows if row["status"] == "failed"] == [names[place]]
    told = [text for row in rows for text in (row.get("reason"), *row.get("warnings", ())) if text]
    assert any(text.startswith(f"scan '{tmp_path / 'studies'}' must not be constant") for text in told)
    assert not [text for text in told if "csvd-" in text]
