"""Detection in a folder of DICOM studies: each study gets its result or its reason."""

import pytest
from dicom_study import oblique, write_classic

from csvd.detection import detect
from csvd.runner import find_bundle

BUNDLE = find_bundle("cmb_detection")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Folder of two studies, one of phase images alone, and their results, which have no DICOM objects."""
    folder = tmp_path_factory.mktemp("people")
    write_classic(folder / "studies" / "first", oblique(), study="1.2.1")
    write_classic(folder / "studies" / "second", oblique(), study="1.2.2", kind="P")
    rows = detect(folder / "studies", folder / "results", BUNDLE, any_sequence=True)
    return folder, rows


def test_every_study_has_a_row(people):
    folder, rows = people
    assert [(row["case"], row["status"]) for row in rows] == [("first", "ok"), ("second", "failed")]
    assert "images are all phase" in rows[1]["reason"]
    assert (folder / "results" / "first" / "first.html").exists()


def test_dicom_objects_are_added_to_results_that_are_there(people):
    folder, _ = people
    results = folder / "results" / "first"
    written = (results / "first.json").stat().st_mtime_ns
    assert not list(results.glob("*.dcm"))
    rows = detect(folder / "studies", folder / "results", BUNDLE, any_sequence=True, resume=True, dicom=True)
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert (results / "first_sr.dcm").exists()
    assert (results / "first.json").stat().st_mtime_ns == written
