"""Fixtures that several test files share."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def real_scans():
    """Folder of real scans beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real scans")
    return folder


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
