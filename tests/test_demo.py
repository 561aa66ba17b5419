"""The demonstration, and the commands that the documentation names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from csvd.demo import compare

ROOT = Path(__file__).parents[1]


def lesion(x, y, z):
    return {"x_mm": str(x), "y_mm": str(y), "z_mm": str(z)}


def test_each_lesion_gets_its_nearest_candidate_within_5_mm():
    near, far = lesion(1, 0, 0), lesion(0, 30, 0)
    rows = compare([lesion(0, 0, 0), lesion(0, 20, 0)], [far, near])
    assert [row["found"] for row in rows] == [near, None]
    assert [row["distance_mm"] for row in rows] == [1, None]


@pytest.mark.parametrize(("truth", "found"), [([], [lesion(0, 0, 0)]), ([lesion(0, 0, 0)], [])])
def test_nothing_to_compare_is_fine(truth, found):
    assert [row["found"] for row in compare(truth, found)] == [None] * len(truth)


@pytest.mark.slow
def test_demo_finds_most_of_what_it_simulates(tmp_path):
    command = [sys.executable, "-m", "csvd.cli", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found, simulated = map(int, re.search(r"(\d+) of (\d+) simulated lesions", done.stdout).groups())
    assert found >= 0.8 * simulated > 0
    assert Path(re.search(r"Page: (.+)", done.stdout).group(1)).is_file()
    assert "Research use only" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "bundles/cmb_detection/docs/README.md"])
def test_documented_options_exist(page):
    """Every ``csvd COMMAND --option`` of a page is known to the command line."""
    for command, options in re.findall(r"csvd (\w+)([^\n`]*)", (ROOT / page).read_text()):
        if not (documented := re.findall(r"--[a-z-]+", options)):
            continue
        arguments = [sys.executable, "-m", "csvd.cli", command, "--help"]
        help_text = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
        assert all(option in help_text for option in documented), (command, documented)
