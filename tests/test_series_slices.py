"""Slices for the sequence gate: along which axis, in which proportion, how bright."""

import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.slices.series_slices import SeriesSlices, SeriesSlicesd, series_slices


def test_slices_are_those_of_the_acquisition():
    image = torch.arange(5.0).view(1, 1, 5, 1).expand(1, 40, 5, 60)  # coronal slices, each of one value
    slices = series_slices(image, torch.tensor([1.0, 5.0, 1.0]), count=3, size=32)
    assert slices[0, 12:20, 12:20].std(dim=(0, 1)).max() < 1e-6


def test_isotropic_volumes_give_axial_slices():
    x, z = torch.arange(40).view(1, 40, 1, 1), torch.arange(50).view(1, 1, 1, 50)
    image = (x / 40 < z / 50).float().expand(1, 40, 44, 50)  # the higher, the more is bright
    slices = series_slices(image, torch.ones(3), count=5, size=32)
    assert slices.shape == (1, 32, 32, 5)
    bright = slices[0, :, 16].mean(dim=0)
    assert (bright.diff() > 0).all()
    assert bright[2] == pytest.approx(0.5 * 40 / 44, abs=0.03)


def test_proportions_are_those_of_the_body():
    image = torch.rand(1, 40, 20, 9, generator=torch.Generator().manual_seed(0)) + 1
    image[..., 0] = 0
    covered = series_slices(image, torch.tensor([1.0, 4.0, 6.0]), count=1, size=80)[0, :, :, 0] > 0
    assert covered.any(dim=1).sum() == 40  # 40 mm of 80
    assert covered.any(dim=0).sum() == 80


def test_brightness_does_not_matter():
    image = torch.rand(1, 20, 20, 9, generator=torch.Generator().manual_seed(0))
    one, other = (series_slices(values, torch.ones(3), size=16) for values in (image, 1e-4 * image - 7e-5))
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_constant_volumes_are_dark():
    assert not series_slices(torch.full((1, 8, 8, 8), 3.0), torch.ones(3), size=16).any()


def test_spacing_is_that_of_the_meta_tensor():
    image = MetaTensor(torch.rand(1, 12, 12, 6), affine=torch.diag(torch.tensor([1.0, 1, 5, 1])))
    expected = series_slices(image.as_tensor(), torch.tensor([1.0, 1, 5]), size=16)
    torch.testing.assert_close(SeriesSlicesd("image", size=16)({"image": image})["image"], expected)


@pytest.mark.parametrize("arguments", [{"count": 0}, {"size": 0}, {"share": 2}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SeriesSlices(**arguments)
