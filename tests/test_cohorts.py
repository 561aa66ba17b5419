"""Many scans in several processes: the same results as in one, whatever becomes of a process."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from geometry import planted_scan
from warm import torchrun

from csvd.bundles import find_bundle
from csvd.checks import InputError
from csvd.io import Case
from csvd.workflows.detection import detect
from csvd.workflows.pool import gather, local_device, own_share, run_each
from csvd.workflows.results import Result

BUNDLE = find_bundle("cmb_detection")
CASES = [Case(name, Path(f"{name}.nii.gz")) for name in ("a", "b", "c", "killed", "d", "bad", "ended", "e")]
SIGNALS = {"killed": signal.SIGKILL, "ended": signal.SIGTERM}


def work(case):
    if case.name in SIGNALS:
        os.kill(os.getpid(), SIGNALS[case.name])
    if case.name == "bad":
        raise InputError("bad must be good")
    return Result({"case": case.name, "length": len(case.name)}, {"counting": 0.5})


def make_work():
    return work


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Folder of three small scans, one of them broken."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(2):
        planted = planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0), seed=number)
        nib.save(planted.image, folder / f"sub-{number}_swi.nii.gz")
    (folder / "sub-2_swi.nii.gz").write_bytes(b"this is not a scan" * 100)
    return folder


@pytest.fixture(scope="module")
def alone(scans, tmp_path_factory):
    """Results of one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    detect(scans, out, BUNDLE, any_sequence=True)
    return out


def assert_same_results(out, expected):
    with (out / "cohort.tsv").open() as one, (expected / "cohort.tsv").open() as other:
        tables = [list(csv.DictReader(file, delimiter="\t")) for file in (one, other)]
    assert tables[0] == tables[1]
    assert [row["status"] for row in tables[0]] == ["ok", "ok", "failed"]
    for case in ("sub-0_swi", "sub-1_swi"):
        for name in ("lesions", "candidates"):
            texts = [(folder / case / f"{case}_{name}.tsv").read_text() for folder in (out, expected)]
            assert texts[0] == texts[1]
        maps = [nib.load(folder / case / f"{case}_prob.nii.gz").get_fdata() for folder in (out, expected)]
        np.testing.assert_array_equal(*maps)


@pytest.mark.slow
def test_scan_that_kills_its_process_is_a_row_and_the_rest_goes_on(quick_processes):
    rows = {row["case"]: row for row in run_each(CASES, make_work, jobs=2)}
    assert rows["bad"] == {"case": "bad", "subject": None, "status": "failed", "reason": "bad must be good"}
    assert all("was killed" in rows[name]["reason"] for name in SIGNALS)
    assert all(rows[name] == {"case": name, "status": "ok", "length": 1} for name in "abcde")


def wait_for_ever():
    return lambda case: time.sleep(600)


@pytest.mark.whole
def test_processes_end_with_the_one_that_started_them():
    code = "from test_cohorts import CASES, run_each, wait_for_ever; run_each(CASES, wait_for_ever, jobs=2)"
    first = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    children = first_children(first.pid, within_s=120)
    first.kill()
    first.wait()
    assert children
    for _ in range(600):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    pytest.fail("processes were left")


def first_children(pid, within_s):
    """Return the numbers of the processes that work for another, as soon as they do."""
    for _ in range(10 * within_s):
        listed = Path(f"/proc/{pid}/task/{pid}/children")
        children = listed.read_text().split() if listed.exists() else []
        workers = [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
        if len(workers) == 2 and all(len(list(Path(f"/proc/{one}/task").iterdir())) > 1 for one in workers):
            return workers
        time.sleep(0.1)
    return []


def test_no_scan_is_no_row():
    assert run_each([], make_work) == []


def test_shares_of_all_processes_are_all_scans_once(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    names, sizes = [], set()
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        share = own_share(CASES)
        names += [case.name for case in share]
        sizes.add(len(share))
    assert sorted(names) == sorted(case.name for case in CASES)
    assert sizes == {2, 3}


def test_each_process_takes_its_own_gpu(monkeypatch):
    assert local_device() == {}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert local_device() == {"device": "$torch.device('cuda:2')"}


def test_rows_come_in_the_order_of_the_cases():
    rows = [{"case": case.name} for case in reversed(CASES)]
    assert [row["case"] for row in gather(rows, CASES)] == [case.name for case in CASES]


def test_resumed_run_keeps_what_is_done_and_tries_again_what_failed(scans, alone, tmp_path):
    out = tmp_path / "out"
    subprocess.run(["cp", "-r", alone, out], check=True)
    (out / "cohort.tsv").unlink()
    subprocess.run(["rm", "-r", out / "sub-1_swi"], check=True)
    kept = out / "sub-0_swi" / "sub-0_swi.json"
    before = kept.stat().st_mtime_ns
    detect(scans, out, BUNDLE, any_sequence=True, resume=True)
    assert kept.stat().st_mtime_ns == before
    assert_same_results(out, alone)


def test_results_of_another_threshold_are_not_resumed(scans, alone):
    with pytest.raises(InputError, match=r"sub-0_swi.json' cannot be resumed: its threshold must be 0\.9"):
        detect(scans, alone, BUNDLE, any_sequence=True, resume=True, settings={"threshold": 0.9})


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(scans, alone, tmp_path):
    detect(scans, tmp_path / "out", BUNDLE, any_sequence=True, jobs=2)
    assert_same_results(tmp_path / "out", alone)


@pytest.mark.slow
def test_torchrun_gives_the_results_of_one_process(scans, alone, tmp_path):
    detect_all = ("csvd.cli", "detect", scans, "--any-sequence", "--json", "--out", tmp_path / "out")
    command, environment = torchrun(tmp_path, 2, *detect_all)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    rows = json.loads(done.stdout)  # of the first process, once
    assert done.returncode == 1
    assert [(row["case"], row["status"]) for row in rows] == [
        ("sub-0_swi", "ok"),
        ("sub-1_swi", "ok"),
        ("sub-2_swi", "failed"),
    ]
    assert_same_results(tmp_path / "out", alone)


@pytest.mark.slow
def test_torchrun_of_one_scan_ends(scans, tmp_path):
    detect_one = ("csvd.cli", "detect", scans / "sub-0_swi.nii.gz", "--any-sequence", "--out", tmp_path / "out")
    command, environment = torchrun(tmp_path, 2, *detect_one)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("sub-0_swi: ") == 1 + done.stdout.count("sub-0_swi: warning")
