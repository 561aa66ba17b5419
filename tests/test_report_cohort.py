"""The table of a cohort: a row for every scan, good or bad."""

import csv

import pytest

from csvd.anatomy.mars import MARS
from csvd.io import write_cohort_table
from csvd.lesions import COHORT_COLUMNS

GOOD = {
    "case": "sub-01_swi",
    "subject": "sub-01",
    "status": "ok",
    "contrast": "dark",
    "counts": {"total": 5, "lobar": 3, "deep": 1, "infratentorial": 1, "n/a": 0, "large": 2},
    "mars": {**dict.fromkeys([*MARS, "n/a"], 0), "frontal": 3, "basal ganglia": 1, "cerebellum": 1},
    "burden": {"count_range": "5 to 10", "aria_h_range": "5 to 9", "pattern": "mixed"},
    "regions": {"method": "registration", "overlap": 0.95},
    "quality": {"mask_volume_ml": 1402.5, "median_intensity": None},
    "warnings": ["thick\nslices", "no\tphase"],
}
BAD = {"case": "sub-02", "status": "failed", "reason": "scan 'sub-02.nii'\nmust\tnot be constant"}


@pytest.fixture
def rows(tmp_path):
    write_cohort_table([GOOD, BAD], tmp_path / "cohort.tsv")
    with (tmp_path / "cohort.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_good_scan_has_counts_and_quality(rows):
    assert list(rows[0]) == list(COHORT_COLUMNS)
    mars = ["3", "0", "0", "0", "0", "1", "0", "0", "0", "0", "0", "0", "1"]
    said = ["2", "5 to 10", "5 to 9", "mixed", "registration"]
    start = ["sub-01_swi", "sub-01", "ok", "n/a", "warnings", "5", "3", "1", "1", "0"]
    end = ["1402.5", "n/a", "2", "thick slices; no phase"]
    assert list(rows[0].values()) == [*start, *mars, *said, *end]


def test_bad_scan_has_its_reason_on_one_line(rows):
    assert rows[1]["reason"] == "scan 'sub-02.nii' must not be constant"
    assert (rows[1]["status"], rows[1]["qc"]) == ("failed", "failed")
    rest = {rows[1][name] for name in COHORT_COLUMNS if name not in ("case", "status", "reason", "qc")}
    assert rest == {"n/a"}


def test_cohort_without_scans_keeps_the_header(tmp_path):
    write_cohort_table([], tmp_path / "cohort.tsv")
    assert (tmp_path / "cohort.tsv").read_text() == "\t".join(COHORT_COLUMNS) + "\n"
