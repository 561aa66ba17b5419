"""The documents: each command that they give is one, and runs.

Blocks marked ``bash`` run as they are. Those marked ``sh`` take a cluster, data that is not ours or more than minutes:
they run with what :mod:`stand_in` puts in the place of programs.
"""

import gzip
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
import small
from geometry import planted_scan
from once import filled_once
from public_sets import save_aibl, save_dou, save_valdo
from typer.main import get_command
from warm import python_m, worker

from csvd.cli import app
from csvd.lesions import COHORT_COLUMNS, LESION_COLUMNS
from csvd.phantom import PROTOCOLS, write_cohort

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STUDY = ROOT.parent / "shared" / "data" / "siemens-gre-magphase-dicom"
ELSEWHERE = {"review.md", "monai_label.md", "ohif.md", "pacs.md"}  # tests of their own
TOO_LONG = ("at_size.py", "compare_weights.py", "discriminators.py", "learning_curve.py", "evaluate_detector.json")
"""Words of ``sh`` blocks that need hours or weights of an earlier training: only their options are checked."""
SWI = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"], "SeriesDescription": "SWI"}


def blocks(path, *kinds):
    """The fenced blocks of a document, as text."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind in kinds]


def commands(*names):
    """What follows a program of these names in the commands of all documents."""
    for path in DOCUMENTS:
        for text in blocks(path, "bash", "sh"):
            for command in re.split(r"\n|&&|\|\||;", text.replace("\\\n", " ")):
                words = shlex.split(command, comments=True)
                for n, word in enumerate(words):
                    if word in names and words[n - 1] != "cd":
                        yield pytest.param(words[n + 1 :], id=f"{path.name}: {' '.join(words)}"[:90])


@pytest.mark.parametrize("words", commands("csvd", "csvd.cli", ".venv/bin/csvd"))
def test_documented_command_and_its_options_exist(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where --log FILE is made
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
    assert [name for name in (*LESION_COLUMNS, *COHORT_COLUMNS) if f"| `{name}` |" not in text] == []


@pytest.fixture(scope="session")
def held_out(shared):
    """Folder of two small simulated cohorts."""

    def fill(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PROTOCOLS, "tiny", small.PROTOCOL)
            for kind in ("aSVD", "healthy"):
                write_cohort("tiny", 1, folder / f"patients_{kind}", seed=3, jobs=1, split=(0, 0, 1), phenotype=kind)

    return filled_once(shared / "held_out", fill)


@pytest.fixture
def workplace(tmp_path, people, held_out):
    """Folder with the data that documents name, STUDY where that is, and the programs that they call."""
    anatomy = Path("sub-01") / "anat"
    for number, folder in enumerate(("SCANS", "SCANS", f"BIDS/{anatomy}")):
        target = tmp_path / folder / f"sub-0{number % 2 + 1}_swi.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        nib.save(planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0), seed=number).image, target)
        target.with_name(target.name.replace(".nii.gz", ".json")).write_text(json.dumps(SWI))
    (tmp_path / "BIDS" / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    for name, save in (("Task2", save_valdo), ("CMB", save_dou), ("AIBL/PublicDataShare_2020", save_aibl)):
        save(tmp_path / name)
    (tmp_path / "COHORT").mkdir()
    sections = json.loads((people / "datalist.json").read_text())
    sections["test"] += sections["validation"]  # people of two classes, to tell apart
    (tmp_path / "COHORT" / "datalist.json").write_text(json.dumps(sections))
    (tmp_path / "STUDY").symlink_to(STUDY)
    shutil.copytree(ROOT / "bundles", tmp_path / "bundles", ignore=shutil.ignore_patterns("eval"))
    for name in ("nii.gz", "json"):
        (tmp_path / f"scan.{name}").symlink_to(tmp_path / "SCANS" / f"sub-01_swi.{name}")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / "held_out").symlink_to(held_out)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(tmp_path / "bin")
    (tmp_path / "bin").mkdir()
    python_m("csvd.cli")  # so that there is a process to fork
    for name in ("csvd", "python", "torchrun", "srun", "scontrol", "git", "make"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/stand_in.py {name} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def free_port():
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run(script, workplace, **environment):
    """Run a script of the documents, on a cluster where it asks for one; fails with what it said.

    Lines about a real study are left out where there is none.
    """
    script = "\n".join(line for line in script.splitlines() if STUDY.exists() or "STUDY" not in line)
    known = {"SLURM_JOB_NODELIST": "localhost", "SLURM_NNODES": "1", "SLURM_JOB_ID": "1"}
    cluster = known if "SLURM" in script else {}
    cluster["PET_MASTER_PORT"] = str(free_port())  # torchrun's own is that of every other torchrun
    path = f"{workplace / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **cluster, **environment, "PATH": path, "PYTHON_EXEC": str(worker(workplace / "bin"))}
    done = subprocess.run(["bash", "-ec", script], cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name for path in DOCUMENTS if blocks(path, "bash")])
def test_documented_commands_run(workplace, name):
    (path,) = (path for path in DOCUMENTS if path.name == name)
    run("\n".join(blocks(path, "bash")), workplace)


LONG = {  # a block that stands in several documents runs once
    text: f"{path.name}: {text.splitlines()[0]}"[:60]
    for path in DOCUMENTS
    for text in blocks(path, "sh")
    if path.name not in ELSEWHERE and not any(word in text for word in TOO_LONG)
}


def marked(block):
    """Return a block for pytest; an experiment is run by ``make test-all`` alone."""
    return pytest.param(block, marks=pytest.mark.whole if "csvd experiment" in block else ())


@pytest.mark.slow
@pytest.mark.parametrize("block", map(marked, LONG), ids=LONG.values())
def test_documented_commands_that_take_long_run_with_less(workplace, block):
    run(block, workplace, LESS=str(workplace))


@pytest.mark.slow
def test_documented_review_runs(workplace):
    """Points of the detection become training data, as if a person had looked at them and added one."""
    detect, datalist, tune, use = blocks(ROOT / "docs" / "review.md", "sh")
    run(detect, workplace, LESS=str(workplace))
    (workplace / "REVIEWED").mkdir()
    for path in workplace.glob("RESULTS/*/*.mrk.json"):
        content = json.loads(path.read_text())
        content["markups"][0]["controlPoints"].append({"label": "new-1", "position": [-24.0, -8.0, 30.0]})
        (workplace / "REVIEWED" / path.name).write_text(json.dumps(content))
    shutil.rmtree(workplace / "COHORT")
    run("\n".join([datalist, f"(\n{tune})", use]), workplace, LESS=str(workplace))
    assert len(list((workplace / "AGAIN").glob("*/*.html"))) == 2


def answer(url, **request):
    """What a server says, once it listens."""
    for _ in range(120):
        try:
            return requests.request(url=url, timeout=300, **request)
        except requests.ConnectionError:
            time.sleep(1)
    raise TimeoutError(url)


@pytest.mark.whole
def test_documented_server_gives_boxes_a_mask_and_probabilities(workplace, monkeypatch):
    """Of MONAI Label, in an environment that shares what ours has."""
    venv.create(workplace / "own", with_pip=True)
    (packages,) = workplace.glob("own/lib/*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    (workplace / "bin" / "python").unlink()
    monkeypatch.setenv("PATH", f"{workplace / 'own' / 'bin'}:{os.environ['PATH']}")
    seen = planted_scan(voxel_mm=(1.0, 1.0, 1.0), radius_mm=2.0)  # one that the detector finds
    nib.save(seen.image, workplace / "SCANS" / "sub-01_swi.nii.gz")
    block, _ = blocks(ROOT / "docs" / "monai_label.md", "sh")  # the other needs a PACS, see test_monai_label.py
    prepare, start, options = block.partition("monailabel start_server")
    run(prepare, workplace)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["bash", "-ec", f"exec {start}{options.rstrip()} --port {port}"]
    with (workplace / "log").open("w") as log, subprocess.Popen(serve, cwd=workplace, stdout=log, stderr=log) as server:
        try:
            at = f"http://127.0.0.1:{port}"
            models = answer(f"{at}/info/", method="GET").json()["models"]
            assert {name: model["type"] for name, model in models.items()} == {
                "cmb_detection": "detection",
                "cmb_segmentation": "segmentation",
                "csvd_classification": "classification",
            }
            scan = {"image": "sub-01_swi"}
            boxes, mask = (
                answer(f"{at}/infer/{name}", method="POST", params={**scan, "output": "image"}).content
                for name in ("cmb_detection", "cmb_segmentation")
            )
            told = answer(f"{at}/infer/csvd_classification", method="POST", params={**scan, "output": "json"}).json()
        finally:
            server.terminate()
    assert json.loads(boxes)["markups"]
    voxels = nib.Nifti1Image.from_bytes(gzip.decompress(mask))
    np.testing.assert_allclose(voxels.affine, nib.load(workplace / "SCANS" / "sub-01_swi.nii.gz").affine, atol=1e-4)
    assert sum(one["score"] for one in told["prediction"]) == pytest.approx(1, abs=1e-3)
