"""What a killed run leaves is never taken for a result, and what is written elsewhere first is not half moved."""

import json
import multiprocessing

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, RandFlipd
from planted import ball
from small_bundle import write_scan

from csvd.checks import InputError
from csvd.engines.background_bank import write_background
from csvd.io import DiskCacheDataset
from csvd.io.cohort_table import read_rows
from csvd.io.slicer.corrections import find_reviews
from csvd.io.temporary import _machine, alone_in
from csvd.workflows.detection import detect

RECORD = {"case": "sub-1_swi", "counts": {}, "threshold": 0.5, "sha256": {}}


@pytest.fixture
def left(tmp_path):
    """Results of a run that was killed while it wrote a case and replaced another, and nothing else."""
    folder = tmp_path / f".csvd-{_machine()}-abcdefgh"
    for case in (folder / "new", folder / "old" / "sub-1_swi"):
        case.mkdir(parents=True)
        (case / "sub-1_swi.json").write_text(json.dumps(RECORD))
        (case / "sub-1_swi_lesions.mrk.json").write_text("{}")
        (case / "sub-1_swi_cmb.nii.gz").write_text("half")
    return tmp_path


def test_cohort_is_not_reported_from_what_a_killed_run_left(left):
    with pytest.raises(InputError, match="must hold results of `csvd detect`, it holds none"):
        read_rows(left)


def test_nothing_that_a_killed_run_left_is_a_correction(left):
    assert find_reviews(left) == []


def test_cache_is_written_beside_its_place(tmp_path, monkeypatch):
    """MONAI's goes through the system's folder for temporary files, and is copied from another disk."""
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "scan.nii")
    steps = Compose([LoadImaged("image"), RandFlipd("image", prob=0)])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    data = DiskCacheDataset([{"image": str(tmp_path / "scan.nii")}], steps, str(tmp_path / "kept"))
    assert data[0]["image"].shape == (4, 4, 4)
    [file] = (tmp_path / "kept").iterdir()
    torch.load(file, weights_only=True)


def test_cache_that_cannot_be_written_whole_is_not_kept(tmp_path, monkeypatch):
    def save(what, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "scan.nii")
    data = DiskCacheDataset(
        [{"image": str(tmp_path / "scan.nii")}], Compose([LoadImaged("image")]), str(tmp_path / "kept")
    )
    monkeypatch.setattr("csvd.io.disk_cache.torch.save", save)
    with pytest.raises(KeyboardInterrupt):
        data[0]
    assert not [*(tmp_path / "kept").iterdir()]


def test_scan_of_the_bank_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def savez(path, **arrays):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    image, mask, _ = ball(noise=0.08)
    monkeypatch.setattr("csvd.engines.background_bank.np.savez", savez)
    with pytest.raises(KeyboardInterrupt):
        write_background(tmp_path, "scan", image, mask, (0.9, 0.9, 4.0), None, inside=500)
    assert not [*tmp_path.iterdir()]


def test_second_run_over_a_cohort_is_refused_before_any_scan(bundle, tmp_path):
    """Of one folder; a run over one scan, which writes no table of a cohort, is not."""
    for seed in range(2):
        write_scan(tmp_path / "scans" / f"sub-{seed}_swi.nii.gz", seed)
    out, ready, done = tmp_path / "out", *(multiprocessing.get_context("fork").Event() for _ in range(2))
    other = multiprocessing.get_context("fork").Process(target=_hold, args=(out, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InputError, match="another run of csvd writes to output folder"):
            detect(tmp_path / "scans", out, bundle)
        assert not [*out.iterdir()]
        [row] = detect(tmp_path / "scans" / "sub-0_swi.nii.gz", out, bundle)
        assert row["status"] == "ok"
    finally:
        done.set()
        other.join()


def _hold(out, ready, done):
    with alone_in(out):
        ready.set()
        done.wait(60)
