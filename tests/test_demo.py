"""The demonstration, and the commands that the documentation names."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command
from warm import python_m

from csvd.cli import app
from csvd.workflows.demo import compare

ROOT = Path(__file__).parents[1]
BUNDLES = ("cmb_detection", "csvd_classification")


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
    command = python_m("csvd.cli", "demo", "--out", tmp_path / "demo")
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found, simulated = map(int, re.search(r"(\d+) of (\d+) simulated lesions", done.stdout).groups())
    assert found >= 0.8 * simulated > 0
    sizes = [line.split()[-3:-1] for line in done.stdout.splitlines() if re.search(r"0\.\d\d *$", line)]
    apart = [abs(float(true) - float(measured)) for true, measured in sizes]
    assert len(apart) == found
    assert sorted(apart)[len(apart) // 2] <= 0.2
    assert Path(re.search(r"Page: (.+)", done.stdout).group(1)).is_file()
    assert "Research use only" in done.stdout


@pytest.mark.parametrize("page", ["README.md", *(f"bundles/{name}/docs/README.md" for name in BUNDLES)])
def test_documented_options_exist(page):
    """Every ``csvd COMMAND --option`` of a page is known to the command line."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    documented = [re.split(r"\s+#", line)[0].split() for line in re.findall(r"csvd (\w[^\n`]*)", text)]
    used = 0
    for words in documented:
        command = get_command(app)
        while words and words[0] in getattr(command, "commands", {}):  # a group
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known, words
        used += len(options)
    assert used > 5
