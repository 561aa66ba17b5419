"""The clock of the benchmarks of speed, and what is computed from its seconds."""

import json
import os
import time
from inspect import isgeneratorfunction, unwrap

import pytest
from measured import load

from csvd.bundles import find_bundle
from csvd.io import Case
from csvd.workflows.runner import BundleRunner

speed, growth, throughput = load("speed"), load("growth"), load("throughput")


def test_a_step_counts_without_the_steps_inside_it():
    clock = speed.Clock()
    inner = clock.timed("inner", lambda seconds: time.sleep(seconds))
    with clock.step("outer"):
        time.sleep(0.05)
        inner(0.2)
        inner(seconds=0.1)
    assert clock.steps["inner"]["seconds"] == pytest.approx(0.3, abs=0.04)
    assert clock.steps["outer"]["seconds"] == pytest.approx(0.05, abs=0.04)
    assert clock.steps["inner"]["megabytes"] > 10


def test_every_step_exists():
    assert all(callable(getattr(*speed.find(where))) for where in speed.STEPS)


def test_every_step_does_its_work_when_it_is_called():
    """A context manager would do it later, when no step counts it."""
    steps = (unwrap(getattr(*speed.find(where))) for where in speed.STEPS)
    assert not any(isgeneratorfunction(step) for step in steps)


def test_two_measurements_are_compared(tmp_path, capsys):
    for name, seconds in (("before", 2.0), ("after", 1.0)):
        steps = {speed.SCAN: {"seconds": seconds, "megabytes": 1.0}}
        (tmp_path / name).write_text(json.dumps({"256x288x48, 1 thread": steps}))
    speed.compare(tmp_path / "before", tmp_path / "after")
    assert "| **whole scan** | 2.00 to 1.00 (x 0.50) |" in capsys.readouterr().out


@pytest.mark.parametrize("power", [1, 2])
def test_exponent_of_growth(power):
    assert growth.exponent([1, 2, 4, 8], [3 * n**power for n in (1, 2, 4, 8)]) == pytest.approx(power)


def test_plan_for_a_large_study_comes_from_the_faster_way(capsys):
    throughput.print_tables(100, {1: (720.0, 1024.0, 2.0), 2: (360.0, 3072.0, 2.0)}, cores=2)
    lines = capsys.readouterr().out.splitlines()
    assert "| 1 | 720 | 500 | 1024 | 2.0 |" in lines
    assert "| 2 | 360 | 1000 | 3072 | 2.0 |" in lines
    assert "50000 scans, 100 core hours, 100 GB of results:" in lines
    assert "| 16 | 0.3 | 24 |" in lines


def test_memory_of_a_group_of_processes_counts_shared_pages_once():
    assert throughput.memory_mb(os.getpgid(0), "Pss:") > 10


@pytest.mark.slow
def test_steps_stand_beside_straightforward_versions(small_cohort, tmp_path, monkeypatch, capsys):
    steps = load("steps")
    monkeypatch.setattr(steps, "typical", steps.once)
    bundle = find_bundle("cmb_detection")
    detector = BundleRunner(bundle, {"output_dir": str(tmp_path / "out"), "overwrite": True}, overlays=["paper"])
    steps.time_steps(Case("sub-1", small_cohort / "sub-1_swi.nii.gz"), detector)
    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines()]
    assert [name.strip() for name, device in rows if device.strip() == "cpu"] == [
        "radial symmetry",
        "vessel mask",
        "network",
        "end to end",
    ]
