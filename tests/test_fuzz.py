"""Damaged and malicious files, see benchmarks/fuzz.py and bombs.py: a right result or one clear line, nothing else."""

import subprocess
import sys

import pytest
from measured import BENCHMARKS


def run(name, *arguments):
    """Run a benchmark in a process of its own, because it forks what it has loaded, and return its code and lines."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", *map(str, arguments)], capture_output=True, text=True
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.slow
def test_damaged_inputs_of_each_kind_end_well():
    code, lines = run("fuzz", "--inputs", 27, "--seed", 11)
    assert code == 0, lines
    assert lines[-1].startswith("| fuzzing | 27 | 0 |")


@pytest.mark.slow
def test_bombs_and_very_many_files_end_soon_with_one_line():
    code, lines = run("bombs", "--less", 500)
    assert code == 0, lines
    assert lines[-1].startswith("| bombs and very many files | 8 | 0 |")


@pytest.mark.whole
def test_two_thousand_damaged_inputs_end_well():
    code, lines = run("fuzz", "--inputs", 2000)
    assert code == 0, lines


@pytest.mark.whole
def test_whole_bombs_end_soon_with_one_line():
    code, lines = run("bombs")
    assert code == 0, lines
