"""Intensity inversion on phantoms."""

import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.invert_intensity import InvertIntensity, InvertIntensityd


def named(tensor):
    return MetaTensor(tensor, meta={"filename_or_obj": "sub-01_swi.nii.gz"})


@pytest.fixture
def scan():
    """Brain of about 100 in a cube with a border of 40 that the mask leaves out; one dark voxel."""
    image = 100 + 5 * torch.randn(1, 20, 20, 20, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros_like(image)
    mask[:, 2:-2, 2:-2, 2:-2] = 1
    image[mask == 0] = 40
    image[0, 10, 10, 10] = 5
    return image, mask


def test_dark_becomes_bright_and_the_maximum_0(scan):
    image, mask = scan
    result = InvertIntensity("dark")(image, mask)
    assert result[0, 10, 10, 10] == result.max()
    torch.testing.assert_close(result[mask > 0], 1 - image[mask > 0] / image[mask > 0].max())


def test_bright_is_left_alone(scan):
    image, mask = scan
    qsm = image - 100
    torch.testing.assert_close(InvertIntensity("bright")(qsm, mask), qsm * mask)


@pytest.mark.parametrize("contrast", ["dark", "bright"])
def test_outside_becomes_0(scan, contrast):
    image, mask = scan
    image = image - 100 * (contrast == "bright")
    assert not InvertIntensity(contrast)(image, mask)[mask == 0].any()


def test_without_a_mask_the_nonzero_voxels_are_the_brain(scan):
    image, mask = scan
    torch.testing.assert_close(InvertIntensity()(image * mask), InvertIntensity()(image, mask))


def test_each_channel_has_its_own_maximum(scan):
    image, mask = scan
    result = InvertIntensity()(torch.cat([image, 7 * image]), mask)
    torch.testing.assert_close(result[0], result[1])


def test_contrast_of_the_item_wins(scan):
    image, mask = scan
    qsm = image - 100
    out = InvertIntensityd("image", contrast="dark")({"image": qsm, "mask": mask, "contrast": "bright"})
    torch.testing.assert_close(out["image"], qsm * mask)


def test_meta_data_survive(scan):
    assert InvertIntensity()(named(scan[0]), scan[1]).meta["filename_or_obj"] == "sub-01_swi.nii.gz"


@pytest.mark.parametrize("value", [0.0, -1.0, torch.nan])
def test_image_without_a_positive_maximum_is_named(value):
    image = torch.full((1, 8, 8, 8), value)
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*maximum in the brain must be a number above 0"):
        InvertIntensity()(named(image), torch.ones_like(image))


def test_mask_of_other_shape_is_named(scan):
    image, mask = scan
    with pytest.raises(ValueError, match=r"cannot invert image 'sub-01_swi.nii.gz'.*\(20, 20, 20\).*\(20, 20, 19\)"):
        InvertIntensity()(named(image), mask[..., 1:])


@pytest.mark.parametrize("transform", [lambda: InvertIntensity("light"), lambda: InvertIntensityd("image", "light")])
def test_unknown_contrast_is_refused(transform):
    with pytest.raises(ValueError, match="`contrast` must be one of 'dark', 'bright', got 'light'"):
        transform()
