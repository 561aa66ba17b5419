"""Kills, load and hostile disks, in their shortened form; ``make test-all`` runs them whole."""

import os
import shutil
import subprocess

import pytest
from measured import BENCHMARKS, rows_of
from warm import python_m

MOUNTS = shutil.which("unshare") is not None and hasattr(os, "geteuid") and os.geteuid() == 0
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="needs root, to mount file systems that nobody else sees")


def run(benchmark, *arguments):
    """Run a benchmark whose exit code must be 0, and return its rows: tried, failed, seconds, command."""
    command = python_m(BENCHMARKS / f"{benchmark}.py", *arguments)
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, timeout=36000)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return rows_of(done.stdout)


@pytest.mark.slow
def test_killed_commands_go_on_to_the_same_results():
    """Before a change of the disk, SIGKILL and SIGTERM, then SIGKILL after a time."""
    names = ("pack", "detect, one scan", "detect --jobs 2")
    rows = run("kill", "--moments", 3, "--commands", *names)
    assert [row[:2] for row in rows.values()] == [["3", "0"]] * len(names)


@pytest.mark.whole
def test_killed_commands_go_on_to_the_same_results_at_forty_moments():
    rows = run("kill", "--moments", 40)
    assert all(row[:2] == ["40", "0"] for row in rows.values())


@pytest.mark.slow
def test_cohort_with_scans_broken_in_twelve_ways_gives_each_its_row():
    rows = run("load", "--scans", 24, "--every", 2, "--runs", 4)
    assert [row[:2] for row in rows.values()] == [["24", "0"], ["4", "0"]]


@pytest.mark.whole
def test_large_cohort_gives_each_scan_its_row_and_memory_does_not_grow():
    rows = run("load", "--scans", 1000, "--runs", 100)
    assert [row[:2] for row in rows.values()] == [["1000", "0"], ["100", "0"]]


@needs_mounts
@pytest.mark.slow
def test_full_read_only_and_missing_disks_are_one_line_and_leave_nothing_half_written():
    rows = run("disks", "--sizes", 48, 200)
    assert len(rows) == 6
    assert all(row[1] == "0" for row in rows.values())


@needs_mounts
@pytest.mark.whole
def test_disks_that_are_full_at_other_files_or_slow():
    rows = run("disks", *(("--delay", 2000) if shutil.which("strace") else ()))
    assert all(row[1] == "0" for row in rows.values())


@pytest.mark.whole
def test_threads_order_and_processes_change_no_byte_of_a_cohort():
    rows = run("determinism", "--scans", 3, "--avx2")
    assert all(row[1] == "0" for row in rows.values())
