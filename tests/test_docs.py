"""The documents: each command that they give is one, and those of ``bash`` blocks run.

Blocks marked ``sh`` need a cluster, a server, data that is not ours or more than minutes: they are parsed here.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest
from geometry import planted_scan
from typer.main import get_command

from csvd.cli import app
from csvd.report import COLUMNS, PARTICIPANT_COLUMNS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STUDY = ROOT.parent / "shared" / "data" / "siemens-gre-magphase-dicom"
SWI = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"], "SeriesDescription": "SWI"}


def blocks(path, *kinds):
    """The fenced blocks of a document, as text."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind in kinds]


def commands(*names):
    """What follows a program of these names in the commands of all documents."""
    for path in DOCUMENTS:
        for text in blocks(path, "bash", "sh"):
            for command in re.split(r"\n|&&|;", text.replace("\\\n", " ")):
                words = shlex.split(command, comments=True)
                for n, word in enumerate(words):
                    if word in names and words[n - 1] != "cd":
                        yield pytest.param(words[n + 1 :], id=f"{path.name}: {' '.join(words)}"[:90])


@pytest.mark.parametrize("words", commands("csvd", "csvd.cli", ".venv/bin/csvd"))
def test_documented_command_and_its_options_exist(words):
    command, context, name = get_command(app), None, "csvd"
    while hasattr(command, "resolve_command"):
        context = command.make_context(name, list(words), parent=context, resilient_parsing=True)
        name, command, words = command.resolve_command(context, list(words))
    command.make_context(name, words, parent=context)  # raises for an option or a value that does not exist


@pytest.mark.parametrize("words", commands("monai.bundle"))
def test_documented_config_exists(words):
    configs = re.findall(r"configs/[\w.]+", " ".join(words))
    assert words[0] == "run"
    assert configs
    assert all(list(ROOT.glob(f"bundles/*/{config}")) for config in configs)


def test_every_column_is_explained():
    text = (ROOT / "docs" / "outputs.md").read_text()
    assert [name for name in (*COLUMNS, *PARTICIPANT_COLUMNS) if f"| `{name}` |" not in text] == []


@pytest.fixture
def workplace(tmp_path, small_cohort):
    """Folder with what the documents call SCANS, BIDS, COHORT and STUDY, where that is, and a `csvd` to call."""
    anatomy = Path("sub-01") / "anat"
    for number, folder in enumerate(("SCANS", f"BIDS/{anatomy}")):
        target = tmp_path / folder / f"sub-0{number}_swi.nii.gz"
        target.parent.mkdir(parents=True)
        nib.save(planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0), seed=number).image, target)
        target.with_name(f"sub-0{number}_swi.json").write_text(json.dumps(SWI))
    (tmp_path / "BIDS" / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    shutil.copytree(small_cohort, tmp_path / "COHORT")
    (tmp_path / "STUDY").symlink_to(STUDY)
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    (tmp_path / "bin").mkdir()
    for name, module in (("csvd", "-m csvd.cli"), ("python", "")):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        program.chmod(0o755)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name for path in DOCUMENTS if blocks(path, "bash")])
def test_documented_commands_run(workplace, name):
    (path,) = (path for path in DOCUMENTS if path.name == name)
    lines = "\n".join(["set -e", *blocks(path, "bash")]).splitlines()
    script = "\n".join(line for line in lines if STUDY.exists() or "STUDY" not in line)
    environment = {**os.environ, "PATH": f"{workplace / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
