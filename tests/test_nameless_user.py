"""A user id that no file lists, without a home to write to, as of ``docker run --user 54321``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import pytest
from geometry import planted_scan

NOT_SAID = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
pytestmark = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another")


def run(*arguments, **settings):
    """Run Python as user 54321, who may still read all files, and return its exit code, output and errors."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_SAID} | settings
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        preexec_fn=lambda: os.setreuid(54321, 0),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_importing_the_package_gives_a_name_and_the_home_of_docker():
    code = "import csvd, getpass, os, pathlib; print(os.getuid(), getpass.getuser(), pathlib.Path.home())"
    assert run("-c", code) == (0, "54321 54321 /\n", "")


def test_a_name_and_a_home_that_are_there_stay():
    code = "import csvd, getpass, pathlib; print(getpass.getuser(), pathlib.Path.home())"
    assert run("-c", code, USER="sam", HOME="/dev/null") == (0, "sam /dev/null\n", "")


def test_help_is_shown():
    code, said, errors = run("-m", "csvd.cli", "--help", HOME="/dev/null")
    assert (code, errors) == (0, "")
    assert "detect" in said


@pytest.fixture
def open_folder():
    """Folder that every user may read and write; that of pytest is its own user's."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@pytest.mark.slow
def test_microbleeds_are_found(open_folder):
    planted = planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0))
    nib.save(planted.image, open_folder / "sub-01_swi.nii.gz")
    command = ("detect", open_folder / "sub-01_swi.nii.gz", "--out", open_folder / "out", "--any-sequence")
    code, _, errors = run("-m", "csvd.cli", *command, HOME="/dev/null")
    assert code == 0, errors
    [record] = (open_folder / "out").rglob("sub-01_swi.json")
    assert json.loads(record.read_text())["case"] == "sub-01_swi"
