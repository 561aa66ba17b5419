"""The list of pinned dependencies, with an index of packages that lies in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
sys.path.append(str(TOOLS))

import pins  # noqa: E402


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Have pip know an index alone in which there is a newer nibabel."""
    folder = tmp_path / "nibabel"
    folder.mkdir()
    (folder / "index.html").write_text('<a href="nibabel-99.0-py3-none-any.whl">nibabel-99.0-py3-none-any.whl</a>')
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())


@pytest.mark.slow
def test_list_names_what_is_newer_in_the_index(index):
    done = subprocess.run([sys.executable, TOOLS / "pins.py"], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0], lines[5]) == (0, "# Dependencies", "| package | pinned | newest |")
    assert lines[7:] == [f"| nibabel | {pins.read_pins(pins.CONSTRAINTS)['nibabel']} | 99.0 |"]


def test_counts_leave_out_what_is_not_installed():
    lines = [*pins.page({"a": "1", "b": "2", "c": "3"}, {"b": "2.1", "other": "5"}, missing=1)]
    assert lines[2].startswith("Of the 3 versions that `constraints.txt` pins, 2 were compared")
    assert "1 were the newest" in lines[3]
    assert lines[7:] == ["| b | 2 | 2.1 |"]


def test_another_version_than_the_pinned_one_is_an_error(monkeypatch, tmp_path, capsys):
    (tmp_path / "constraints.txt").write_text("# first\nnibabel==0.1  # old\nno-such-package==1\n")
    monkeypatch.setattr(pins, "CONSTRAINTS", tmp_path / "constraints.txt")
    with pytest.raises(SystemExit):
        pins.main()
    told = capsys.readouterr()
    assert (told.out, told.err.split(",")[0]) == ("", "nibabel: 0.1 is pinned")
