"""The lesions of a cohort in one table, and data dictionaries: read by statistics programs as they are."""

import json
from dataclasses import asdict, replace

import pandas as pd
import pytest
from bids import make_bids
from test_report_bids import write_case

from csvd.checks import InputError
from csvd.io import (
    ALL_LESIONS_COLUMNS,
    find_cases,
    read_table,
    write_all_lesions,
    write_cohort_table,
    write_derivative,
    write_lesions,
    write_table,
)
from csvd.lesions import COHORT_COLUMNS, LESION_COLUMNS, Lesion, burden, data_dictionary
from csvd.workflows.detection import write_derivative_cohort

LOBAR = Lesion(1, -12.5, 30.25, 41.0, 10, 20, 30, 20.0, 3.37, 0.914, "lobar", "left", "frontal", large=0)
DEEP = replace(LOBAR, id=4, x_mm=8.0, region="deep", mars="thalamus", large=1)
CASES = {"sub-01_ses-2_swi": [LOBAR, DEEP], "sub-02_swi": [], "=1+1": [DEEP]}
FAILED = {"case": "sub-03_swi", "subject": "sub-03", "status": "failed", "reason": "it is truncated"}


@pytest.fixture
def results(tmp_path):
    """Folder with the tables of three scans, and their rows, one of a scan that failed among them."""
    rows = []
    for case, lesions in CASES.items():
        (tmp_path / case).mkdir()
        write_lesions(lesions, tmp_path / case / "lesions.tsv")
        rows.append({"case": case, "subject": case[:6] if "sub" in case else None, "status": "ok"})
    return tmp_path, [*rows[:2], FAILED, rows[2]]


def write(results):
    folder, rows = results
    write_all_lesions(rows, folder / "lesions_all.tsv", lambda case: folder / case / "lesions.tsv")
    return folder / "lesions_all.tsv"


def test_every_lesion_has_a_row_with_its_scan_person_and_session(results):
    rows = read_table(write(results))
    assert [tuple(row.values())[:4] for row in rows] == [
        ("sub-01_ses-2_swi", "sub-01", "ses-2", "1"),
        ("sub-01_ses-2_swi", "sub-01", "ses-2", "4"),
        ("=1+1", "n/a", "n/a", "4"),
    ]
    assert list(rows[0]) == ["case", "subject", "session", *LESION_COLUMNS]
    assert {rows[1][name] for name in ("x_mm", "region", "mars", "large")} == {"8.00", "deep", "thalamus", "1"}


def test_table_of_labels_of_bids_gives_the_same_rows(results):
    before = write(results).read_text()
    for table in results[0].glob("*/lesions.tsv"):
        table.write_text(table.read_text().replace("id\t", "index\t", 1))
    assert write(results).read_text() == before


def test_derivative_has_the_lesions_of_its_sessions_and_runs(tmp_path):
    root = make_bids(tmp_path / "raw")
    out, rows = tmp_path / "out", [FAILED]
    for case in find_cases(root):
        if case.name in ("sub-01_ses-2_Chimap", "sub-02_acq-x_run-1_T2starw"):
            rows.append({"status": "ok", **write_derivative(*write_case(case, out), out, case.image)})
    write_derivative_cohort(rows, out, root)
    lesions = [tuple(row.values())[:5] for row in read_table(out / "lesions_all.tsv")]
    assert [row[:4] for row in lesions] == [
        *(("sub-01_ses-2_Chimap", "sub-01", "ses-2", number) for number in "12"),
        *(("sub-02_acq-x_run-1_T2starw", "sub-02", "n/a", number) for number in "12"),
    ]
    assert [row[4] for row in lesions[:2]] == [row["x_mm"] for row in read_table(next(out.rglob("*Chimap_dseg.tsv")))]
    assert "lesions_all.*" in (out / ".bidsignore").read_text()


def test_cohort_without_lesions_keeps_the_header(results):
    folder, _ = results
    write_all_lesions([FAILED], folder / "all.tsv", lambda case: folder / case)
    assert (folder / "all.tsv").read_text() == "\t".join(ALL_LESIONS_COLUMNS) + "\n"


def test_missing_table_of_a_result_is_named(results):
    (results[0] / "sub-02_swi" / "lesions.tsv").unlink()
    with pytest.raises(InputError, match=r"table '.*sub-02_swi/lesions.tsv' of the lesions of case 'sub-02_swi' is"):
        write(results)


def test_pandas_reads_numbers_as_numbers_and_missing_values_as_missing(results):
    frame = pd.read_csv(write(results), sep="\t")
    assert len(frame) == 3
    assert frame["x_mm"].tolist() == [-12.5, 8.0, 8.0]
    assert frame["large"].tolist() == [0, 1, 1]
    assert frame["susceptibility"].isna().all()
    assert frame["session"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("name", ["=1+1", "+x", "-dash", "@cmd", "'=x", "'"])
def test_names_are_no_formulas_in_a_spreadsheet_and_are_read_back(tmp_path, name):
    write_table([{"case": name, "x_mm": "-12.5"}], tmp_path / "a.tsv")
    cell, number = (tmp_path / "a.tsv").read_text().splitlines()[1].split("\t")
    assert cell.startswith("'")
    assert number == "-12.5"
    assert read_table(tmp_path / "a.tsv") == [{"case": name, "x_mm": "-12.5"}]


def test_line_ends_in_texts_end_no_row(tmp_path):
    write_table([{"a": "first\rsecond", "b": "1"}, {"a": "third\nfourth", "b": "2"}], tmp_path / "a.tsv")
    assert pd.read_csv(tmp_path / "a.tsv", sep="\t")["b"].tolist() == [1, 2]


@pytest.mark.parametrize("columns", [COHORT_COLUMNS, ALL_LESIONS_COLUMNS], ids=["cohort", "lesions"])
def test_dictionary_says_of_every_column_what_it_is_and_its_unit(columns):
    described = data_dictionary(columns)
    assert list(described) == list(columns)
    for name, entry in described.items():
        assert entry["LongName"]
        assert entry["Description"] == columns[name]
        assert ("Units" in entry) == name.endswith(("_mm", "_mm3", "_ml", "_percent", "difference", "_intensity")), name
    names = [entry["LongName"] for entry in described.values()]
    assert len({*names}) == len(names)


def test_dictionary_has_every_value_of_columns_with_few():
    levels = data_dictionary(COHORT_COLUMNS | ALL_LESIONS_COLUMNS)
    for lobar in (0, 1, 3, 7, 10, 20):
        for deep in (0, 1):
            counts = {"total": lobar + deep, "lobar": lobar, "deep": deep, "infratentorial": 0, "n/a": 0}
            for name, value in burden(counts).items():
                assert value in levels[name]["Levels"]
    for lesion in (LOBAR, DEEP):
        row = {name: str(value) for name, value in asdict(lesion).items()}
        assert all(row[name] in levels[name]["Levels"] for name in ("region", "side", "mars", "large"))


def test_dictionaries_lie_beside_their_tables(results):
    folder, _ = results
    write(results)
    write_cohort_table([FAILED], folder / "cohort.tsv")
    for name in ("cohort", "lesions_all"):
        header = (folder / f"{name}.tsv").read_text().splitlines()[0].split("\t")
        assert list(json.loads((folder / f"{name}.json").read_text())) == header


def test_no_value_of_a_range_looks_like_a_date():
    ranges = [burden({"total": n, "lobar": n, "deep": 0, "infratentorial": 0, "n/a": 0}) for n in range(15)]
    assert not [value for row in ranges for value in row.values() if value[0].isdigit() and {*"-/."} & {*value}]
