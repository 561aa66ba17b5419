"""Fixtures that several test files share."""

import json
import logging
import multiprocessing
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import planted_scan, sphere_fraction
from measured import run_benchmark, save_task2
from monai.transforms import Randomizable
from once import filled_once
from small_bundle import write_bundle
from trained import train

from csvd.cli import main


@pytest.fixture
def real_scans():
    """Folder of real scans beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real scans")
    return folder


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Draw the same numbers in every run and any order of the tests, also in MONAI's transforms without a seed."""
    torch.manual_seed(0)
    Randomizable.R.seed(0)


@pytest.fixture(autouse=True)
def logging_as_it_starts():
    """Undo what the command line, run in this process by another test, did to logging."""
    logging.disable(logging.NOTSET)
    logger = logging.getLogger("csvd")
    logger.handlers, logger.propagate = [], True


@pytest.fixture
def quick_processes(monkeypatch):
    """Several processes of a detection are forks of one that has loaded MONAI; as a rule each loads it anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["csvd.workflows.detection"])
    monkeypatch.setattr("csvd.workflows.pool.multiprocessing.get_context", lambda method: context)


@pytest.fixture
def csvd(monkeypatch, capsys):
    """Function that runs the command line in this process and returns its exit code, output and error lines."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["csvd", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return exit_info.value.code or 0, captured.out, captured.err.splitlines()

    return run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Folder of a small bundle, whose network needs no weights."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def run(monkeypatch, capsys):
    """Function that runs a benchmark and returns its tables."""
    return lambda name, *arguments: run_benchmark(name, arguments, monkeypatch, capsys)


@pytest.fixture
def task2(tmp_path):
    """Folder in the layout of VALDO."""
    return save_task2(tmp_path / "Task2")


@pytest.fixture
def save_scan(tmp_path):
    """Function that writes voxels, by default noise of 12 x 13 x 14 int16, and returns the path."""

    def save(name="sub-01_swi.nii.gz", voxels=None, affine=None):
        if voxels is None:
            voxels = np.random.default_rng(0).integers(1, 100, (12, 13, 14)).astype(np.int16)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, np.diag([0.8, 0.8, 3, 1]) if affine is None else affine), path)
        return path

    return save


@pytest.fixture(scope="session")
def shared(tmp_path_factory, request):
    """Folder of this test run, the same for all of its processes."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder


@pytest.fixture(scope="session")
def small_cohort(shared):
    """Folder with ``datalist.json``: small planted scans with labels, one of them without a lesion."""
    return filled_once(shared / "cohort", write_small_cohort)


@pytest.fixture(scope="session")
def trained(shared, small_cohort):
    """Folder of what the one tiny training of a test run wrote, and ``output.txt`` with what it printed."""
    return filled_once(shared / "trained", lambda folder: train(small_cohort, folder))


def write_small_cohort(folder, shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0)):
    """Write four planted scans with labels and their data list."""
    items = []
    for number in range(4):
        planted = planted_scan(shape=shape, voxel_mm=voxel_mm, radius_mm=4.0, seed=number)
        label = sphere_fraction(planted.image.affine, shape, planted.lesion_world_mm, 4.0) > 0.5
        label = label.astype(np.uint8) * (number > 0)
        nib.save(planted.image, folder / f"sub-{number}_swi.nii.gz")
        nib.save(nib.Nifti1Image(label, planted.image.affine), folder / f"sub-{number}_label.nii.gz")
        items.append({"image": f"sub-{number}_swi.nii.gz", "label": f"sub-{number}_label.nii.gz"})
    sections = {"training": items[:2], "validation": items[2:3], "test": items[3:]}
    (folder / "datalist.json").write_text(json.dumps(sections))


@pytest.fixture
def people(small_cohort, tmp_path):
    """Data list of the planted scans with diagnosis, age and sex; of the last subject, neither."""
    sections = json.loads((small_cohort / "datalist.json").read_text())
    everyone = [item for items in sections.values() for item in items]
    for number, item in enumerate(everyone):
        item |= {key: str(small_cohort / item[key]) for key in ("image", "label")}
        kind = ("aSVD", "CAA", "CADASIL")[number % 3]
        item |= {"subject": f"sub-{number}", "csvd": kind, "age": 60 + number, "sex": "FM"[number % 2]}
    del everyone[-1]["age"], everyone[-1]["sex"]
    (tmp_path / "datalist.json").write_text(json.dumps(sections))
    return tmp_path
