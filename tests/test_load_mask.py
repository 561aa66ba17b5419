"""Masks that some items have."""

import re

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from csvd.checks import InputError, cause_of
from csvd.io import NiftiReader
from csvd.transforms import LoadMaskd

SHAPE, AFFINE = (12, 13, 14), np.diag([0.8, 0.8, 3.0, 1])
VOXELS = np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8)


@pytest.fixture
def load(save_scan):
    """Function that loads a scan of one or more volumes and a mask."""

    def load(voxels, affine, volumes=1):
        scan = save_scan("scan.nii.gz", np.ones((*SHAPE, volumes), np.float32), AFFINE)
        mask = save_scan("mask.nii.gz", voxels, affine)
        reader = NiftiReader()
        steps = [LoadImaged("image", reader=reader), EnsureChannelFirstd("image"), LoadMaskd("mask", reader=reader)]
        return Compose(steps)({"image": str(scan), "mask": str(mask)})

    return load


@pytest.mark.parametrize("volumes", [1, 3])
@pytest.mark.parametrize("axcodes", ["RAS", "LAS", "SPL"])
def test_mask_has_the_voxels_of_its_scan(load, axcodes, volumes):
    mask = nib.Nifti1Image(VOXELS, AFFINE)
    onto = nib.orientations.axcodes2ornt(axcodes)
    mask = mask.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), onto))
    out = load(np.asarray(mask.dataobj), mask.affine, volumes)
    assert out["image"].shape == (volumes, *SHAPE)
    np.testing.assert_array_equal(out["mask"][0], VOXELS)
    np.testing.assert_array_equal(out["mask"].affine, out["image"].affine)


def test_mask_of_a_file_of_four_dimensions_with_one_volume_is_taken(load):
    np.testing.assert_array_equal(load(VOXELS[..., None], AFFINE)["mask"][0], VOXELS)


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (VOXELS, AFFINE + 20 * np.eye(4, k=3), "affine of image '.*scan.nii.gz', their corners lie 20 mm apart"),
        (VOXELS[:, :, 4:], AFFINE, r"shape of image '.*', it is \(12, 13, 10\), not \(12, 13, 14\)"),
        (np.stack([VOXELS] * 2, axis=-1), AFFINE, r"shape of image '.*', it is \(12, 13, 14, 2\)"),
    ],
)
def test_mask_beside_its_scan_is_refused(load, voxels, affine, message):
    with pytest.raises(RuntimeError) as raised:
        load(voxels, affine)
    cause = cause_of(raised.value)
    assert isinstance(cause, InputError)
    assert re.search(f"^mask '.*mask.nii.gz' must have the {message}", str(cause))


def test_item_without_a_mask_is_left_alone():
    assert LoadMaskd("mask")({"image": 1}) == {"image": 1}
