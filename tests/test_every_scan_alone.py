"""The row, the files and the gate's answer of a scan are those of that scan alone, whatever stands before it."""

import filecmp
import json
import shutil
from functools import cache

import pytest
from small_bundle import STAGES, write_classifier, write_scan

from csvd.names import without_folders
from csvd.workflows.detection import classify, detect
from csvd.workflows.gate import sort_study

GOOD = ("sub-0b_swi", "sub-1b_swi", "sub-2b_swi")
"""Good scans; a bad one may stand before each of them, or behind them all."""

WAYS = [("folder", "once"), ("folder", "overwrite"), ("folder", "resume"), ("bids", "overwrite")]
PLACES = {"first": "sub-0a", "middle": "sub-1a", "last": "sub-3a"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def classified(classifier, tmp_path_factory):
    """Rows of the good scans, each classified in a run of its own, and their files."""
    out, rows = tmp_path_factory.mktemp("classified"), {}
    for seed, name in enumerate(GOOD):
        scan = tmp_path_factory.mktemp("single") / f"{name}.nii.gz"
        write_scan(scan, seed)
        [rows[name]] = classify(scan, out, classifier, gate_bundle=None)
        assert rows[name]["status"] == "ok", rows[name]
    assert len({row["probabilities"]["CADASIL"] for row in rows.values()}) == len(GOOD)
    return rows, out


@pytest.fixture(scope="module")
def classified_earlier(classifier, tmp_path_factory):
    """Results of other scans that have the names of the good ones."""
    folder = tmp_path_factory.mktemp("classified_earlier")
    for seed, name in enumerate(reversed(GOOD)):
        write_scan(folder / "scans" / f"{name}.nii.gz", seed)
    classify(folder / "scans", folder / "out", classifier, gate_bundle=None)
    return folder / "out"


def place_scans(folder, bad=(), bids=False):
    """Write the good scans and the bad ones, given as (name, brightness), into a flat or a BIDS folder."""
    for seed, name in enumerate(GOOD):
        write_scan(_path(folder, name, bids), seed)
    for name, brightness in bad:
        write_scan(_path(folder, name, bids), 5, brightness)
    return folder


def _path(folder, name, bids):
    return (folder / name.split("_")[0] / "anat" if bids else folder) / f"{name}.nii.gz"


@pytest.fixture(scope="module")
def alone(bundle, tmp_path_factory):
    """Function of whether it is a BIDS run; rows of the good scans, each from a run of its own, and their files."""

    @cache
    def detected(bids):
        out, rows = tmp_path_factory.mktemp("alone"), {}
        for seed, name in enumerate(GOOD):
            folder = tmp_path_factory.mktemp("single")
            write_scan(_path(folder, name, bids), seed)
            source = folder if bids else folder / f"{name}.nii.gz"
            [rows[name]] = detect(source, out, bundle, bids=bids, overwrite=True)
            assert rows[name]["status"] == "ok", rows[name]
            assert rows[name]["counts"]["total"] == 1
        return rows, out

    return detected


@pytest.fixture(scope="module")
def earlier(bundle, tmp_path_factory):
    """Function of whether it is a BIDS run; results of other scans that have the names of the good ones."""

    @cache
    def detected(bids):
        folder = tmp_path_factory.mktemp("earlier")
        for seed, name in enumerate(reversed(GOOD)):
            write_scan(_path(folder / "scans", name, bids), seed)
        detect(folder / "scans", folder / "out", bundle, bids=bids)
        return folder / "out"

    return detected


def assert_alone(rows, out, alone):
    """Assert that the rows and the files of the good scans are those of single runs, bit for bit."""
    expected, folder = alone
    found = {row["case"]: row for row in rows}
    files = [path.relative_to(folder) for path in folder.rglob("sub-*") if path.is_file()]
    assert len(files) >= 7 * len(GOOD)
    for name in GOOD:
        assert found[name] == expected[name]
    assert [str(path) for path in files if not filecmp.cmp(folder / path, out / path, shallow=False)] == []


def run(way, source, out, bundle, bids):
    """Detect in one of the ways that there are; what is overwritten is there already."""
    how = {"bids": bids}
    if way == "resume":
        detect(source, out, bundle, **how)
        assert (out / "cohort.tsv").exists()
    if way in ("overwrite", "resume"):
        how[way] = True
    elif way == "jobs":
        how["jobs"] = 2
    return detect(source, out, bundle, **how)


@pytest.mark.parametrize(("kind", "way"), WAYS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("place", PLACES)
def test_scan_that_fails_is_its_own_row_and_no_other_scan_is_touched(
    alone, earlier, bundle, tmp_path, place, stage, kind, way
):
    bids = kind == "bids"
    bad = f"{PLACES[place]}fails{stage}_swi"
    source = place_scans(tmp_path / "scans", [(bad, 1.0)], bids)
    if way == "overwrite":
        shutil.copytree(earlier(bids), tmp_path / "out")
    rows = run(way, source, tmp_path / "out", bundle, bids)
    assert_alone(rows, tmp_path / "out", alone(bids))
    [failed] = [row for row in rows if row["status"] == "failed"]
    told = f"scan '{_path(source, bad, bids)}'" if stage == "check" else f"ZeroDivisionError: the {stage} broke"
    assert failed["case"] == bad
    assert told in failed["reason"]
    left = {path.relative_to(tmp_path / "out").parts[0] for path in (tmp_path / "out").rglob(f"*{bad}*")}
    assert left == ({"logs"} if bids else set())  # the reason, for the level "group" of the BIDS App


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_scans_that_fail_touch_no_other_in_several_processes(alone, bundle, tmp_path, place, quick_processes):
    bad = [f"{PLACES[place]}fails{stage}_swi" for stage in STAGES]
    source = place_scans(tmp_path / "scans", [(name, 1.0) for name in bad])
    rows = run("jobs", source, tmp_path / "out", bundle, bids=False)
    assert_alone(rows, tmp_path / "out", alone(bids=False))
    assert [row["case"] for row in rows if row["status"] == "failed"] == sorted(bad)


def test_folder_with_three_failures_gives_the_five_results_of_five_runs(csvd, bundle, tmp_path):
    """Through the command line: files bit for bit, rows, exit code, reasons in the table and on the page."""
    names = ("a", "b-failscheck", "c", "d", "e-failsnetwork", "f", "g-failswriter", "h")
    for seed, name in enumerate(names):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", seed % 4)
    command = ("detect", "--bundle", bundle, "--json")
    code, output, _ = csvd(*command, tmp_path / "scans", "--out", tmp_path / "out")
    rows = {row["case"]: row for row in json.loads(output)}
    assert code == 1
    for name in names:
        if "fails" not in name:
            code, output, _ = csvd(*command, tmp_path / "scans" / f"{name}.nii.gz", "--out", tmp_path / name)
            assert (code, json.loads(output)) == (0, [rows[name]])
            folders = tmp_path / name / name, tmp_path / "out" / name
            files = [path.name for path in folders[0].iterdir()]
            assert filecmp.cmpfiles(*folders, files, shallow=False) == (files, [], [])
    reasons = ("is not a sound gzip file", "the network broke", "the writer broke")
    table, page = ((tmp_path / "out" / file).read_text() for file in ("cohort.tsv", "index.html"))
    for reason, name in zip(reasons, (name for name in names if "fails" in name), strict=True):
        assert rows[name]["status"] == "failed"
        assert reason in rows[name]["reason"]
        assert without_folders(rows[name]["reason"], tmp_path / "scans" / f"{name}.nii.gz", bundle) in table
        assert reason in page


@pytest.mark.parametrize("place", PLACES)
def test_gate_answers_for_each_scan_alone(bundle, tmp_path, place):
    """Before and behind a scan that breaks the gate stand one that it takes and one that it refuses."""
    number = PLACES[place][4]
    names = {"sub-0b_swi": 1.0, f"sub-{number}afailsgate_swi": 1.0, "sub-2b_x": 4.0, "sub-4b_swi": 1.0, "sub-5b_x": 4.0}
    for seed, (name, brightness) in enumerate(names.items()):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", seed, brightness)
    rows = detect(tmp_path / "scans", tmp_path / "out", bundle)
    told = {row["case"]: row.get("reason") or row["notes"][0] for row in rows}
    for name in names:
        expected = "the gate broke" if "fails" in name else "it looks like FLAIR" if "_x" in name else "sequence: SWI"
        assert expected in told[name], name
    for row in sort_study(tmp_path / "scans", bundle):
        name = row.name.removesuffix(".nii.gz")
        expected = None if "fails" in name else "FLAIR" if "_x" in name else "SWI"
        assert (row.found and row.found.sequence) == expected


@pytest.mark.parametrize("way", ["overwrite", "resume"])
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "gate"])
@pytest.mark.parametrize("place", PLACES)
def test_classified_scan_is_touched_by_no_other(
    classifier, classified, classified_earlier, tmp_path, place, stage, way
):
    expected, folder = classified
    bad = f"{PLACES[place]}fails{stage}_swi"
    source, out = place_scans(tmp_path / "scans", [(bad, 1.0)]), tmp_path / "out"
    how = {way: True}
    if way == "overwrite":
        shutil.copytree(classified_earlier, out)
    elif way == "resume":
        classify(source, out, classifier, gate_bundle=None)
    rows = {row["case"]: row for row in classify(source, out, classifier, gate_bundle=None, **how)}
    assert rows.pop(bad)["status"] == "failed"
    assert rows == expected
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 6 * len(GOOD)
    assert [str(path) for path in files if not filecmp.cmp(folder / path, out / path, shallow=False)] == []
