"""The table of a cohort: a row for every scan, good or bad."""

import csv

import pytest

from csvd.report import PARTICIPANT_COLUMNS, write_participants

GOOD = {
    "case": "sub-01",
    "status": "ok",
    "contrast": "dark",
    "counts": {"total": 5, "lobar": 3, "deep": 1, "infratentorial": 1, "n/a": 0},
    "quality": {"mask_volume_ml": 1402.5, "median_intensity": None},
    "warnings": ["thick slices"],
    "seconds": {"preprocessing": 2.0, "inference": 10.25, "outputs": 1.5},
}
BAD = {"case": "sub-02", "status": "failed", "reason": "scan 'sub-02.nii'\nmust\tnot be constant"}


@pytest.fixture
def rows(tmp_path):
    write_participants([GOOD, BAD], tmp_path / "participants.tsv")
    with (tmp_path / "participants.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_good_scan_has_counts_and_quality(rows):
    assert list(rows[0]) == list(PARTICIPANT_COLUMNS)
    assert list(rows[0].values()) == [
        "sub-01",
        "ok",
        "n/a",
        "warnings",
        "5",
        "3",
        "1",
        "1",
        "0",
        "1402.5",
        "n/a",
        "1",
        "13.8",
    ]


def test_bad_scan_has_its_reason_on_one_line(rows):
    assert rows[1]["reason"] == "scan 'sub-02.nii' must not be constant"
    assert (rows[1]["status"], rows[1]["qc"]) == ("failed", "failed")
    assert {rows[1][name] for name in PARTICIPANT_COLUMNS if name.startswith("n_")} == {"n/a"}


def test_cohort_without_scans_keeps_the_header(tmp_path):
    write_participants([], tmp_path / "participants.tsv")
    assert (tmp_path / "participants.tsv").read_text() == "\t".join(PARTICIPANT_COLUMNS) + "\n"
