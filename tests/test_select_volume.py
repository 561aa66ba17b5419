"""Choice of one volume of a 4-D file."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, SaveImage

from csvd.transforms.grid.select_volume import SelectVolume, SelectVolumed

REAL = Path(__file__).parents[2] / "shared/data/siemens-mefmri-t2star-dicom/me_fMRI_4_e2.nii"


@pytest.fixture
def series():
    """Three volumes filled with 0, 1 and 2."""
    volumes = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 4, 5, 6)
    return MetaTensor(volumes, meta={"filename_or_obj": "sub-01_MEGRE.nii.gz"})


@pytest.mark.parametrize(("volume", "expected", "rule"), [("last", 2, "last"), (0, 0, "chosen"), (1, 1, "chosen")])
def test_one_volume_is_left_and_the_choice_is_recorded(series, volume, expected, rule):
    result = SelectVolumed("image", volume)({"image": series})["image"]
    assert result.shape == (1, 4, 5, 6)
    assert result.unique() == expected
    assert result.meta["volume"] == {"index": expected, "of": 3, "rule": rule}


def test_the_series_itself_stays(series):
    SelectVolume()(series).zero_()
    assert series[2].unique() == 2
    assert "volume" not in series.meta


def test_a_single_volume_is_its_own_last(series):
    assert SelectVolume()(series[:1]).meta["volume"] == {"index": 0, "of": 1, "rule": "last"}


def test_plain_tensor_works():
    assert SelectVolume()(torch.zeros(3, 4, 4, 4)).shape == (1, 4, 4, 4)


def test_missing_volume_names_file_and_count(series):
    with pytest.raises(ValueError, match=r"volume 3 of image 'sub-01_MEGRE.nii.gz': it has 3 volumes, .* 0 to 2"):
        SelectVolume(3)(series)


@pytest.mark.parametrize("volume", [-1, 1.0, True, "first"])
def test_bad_volume_is_refused(volume):
    with pytest.raises(ValueError, match="`volume` must be 'last' or a whole number"):
        SelectVolume(volume)


def check_on_file(path, tmp_path):
    load = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            SelectVolumed("image"),
            Orientationd("image", axcodes="RAS", labels=None),
        ]
    )
    image = load({"image": str(path)})["image"]
    stored = nib.load(path)
    assert image.shape == (1, *stored.shape[:3])
    assert image.affine.shape == (4, 4)
    assert tuple(image.meta["spatial_shape"]) == stored.shape[:3]
    SaveImage(output_dir=tmp_path, output_postfix="", separate_folder=False, resample=False, print_log=False)(image)
    saved = nib.load(next(tmp_path.glob("*.nii.gz")))
    assert saved.shape == stored.shape[:3]
    last = nib.as_closest_canonical(stored).get_fdata()[..., -1]
    np.testing.assert_allclose(nib.as_closest_canonical(saved).get_fdata(), last)


def test_a_file_of_four_dimensions_becomes_one_of_three(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 100, (8, 9, 10, 3)).astype(np.int16)
    nib.Nifti1Image(voxels, np.diag([-2.0, 2, 3, 1])).to_filename(tmp_path / "sub-01_MEGRE.nii")
    check_on_file(tmp_path / "sub-01_MEGRE.nii", tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared scans")
def test_real_two_echo_scan(tmp_path):
    check_on_file(REAL, tmp_path)
