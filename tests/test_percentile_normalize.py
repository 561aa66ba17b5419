"""Percentile normalisation on a ramp and on a signed map."""

import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.intensity.percentile_normalize import PercentileNormalize, PercentileNormalized


@pytest.fixture
def ramp():
    """Channel-first volume holding 1, 2, ..., 1000 once each."""
    return torch.arange(1.0, 1001.0).reshape(1, 10, 10, 10)


def named(tensor):
    return MetaTensor(tensor, meta={"filename_or_obj": "sub-01_swi.nii.gz"})


@pytest.mark.parametrize(("scale", "shift"), [(3, 0), (1, 7), (0.5, 100)])
def test_result_ignores_scanner_scale(ramp, scale, shift):
    torch.testing.assert_close(PercentileNormalize()(ramp * scale + shift), PercentileNormalize()(ramp))


def test_percentiles_become_0_and_1(ramp):
    result = PercentileNormalize(lower=0, upper=100)(ramp)
    assert (result.min(), result.max()) == (0, 1)


def test_no_lower_percentile_only_divides(ramp):
    torch.testing.assert_close(PercentileNormalize(lower=None, upper=100)(ramp), ramp / 1000)


def test_each_channel_has_its_own_percentiles(ramp):
    result = PercentileNormalize()(torch.cat([ramp, 50 * ramp]))
    torch.testing.assert_close(result[0], result[1])


def test_zeros_outside_do_not_count(ramp):
    padded = torch.nn.functional.pad(ramp, (0, 20))
    torch.testing.assert_close(PercentileNormalize()(padded)[..., :10], PercentileNormalize()(ramp))


def test_mask_counts_zeros_inside_and_zeroes_outside(ramp):
    signed = (ramp - 500.0).remainder(100) - 50  # -50 ... 49, zeros among them
    image = torch.cat([signed, signed + 1000], dim=-1)
    mask = torch.cat([torch.ones_like(ramp), torch.zeros_like(ramp)], dim=-1)
    result = PercentileNormalized("image", lower=0, upper=100)({"image": image, "mask": mask})["image"]
    torch.testing.assert_close(result[..., :10], (signed + 50) / 99)
    assert not result[..., 10:].any()


def test_nan_outside_the_mask_is_harmless(ramp):
    image, mask = ramp.clone(), torch.ones_like(ramp)
    image[0, 0], mask[0, 0] = torch.nan, 0
    assert PercentileNormalize()(image, mask).isfinite().all()


def test_meta_data_survive(ramp):
    assert PercentileNormalize()(named(ramp)).meta["filename_or_obj"] == "sub-01_swi.nii.gz"


def test_constant_image_is_named():
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*they are 1 and 1"):
        PercentileNormalize()(named(torch.ones(1, 4, 4, 4)))


def test_image_without_positive_voxels_cannot_be_divided():
    with pytest.raises(ValueError, match=r"0 must be below its 99.5 percentile"):
        PercentileNormalize(lower=None)(-torch.ones(1, 4, 4, 4))


@pytest.mark.parametrize("image", [torch.zeros(1, 4, 4, 4), torch.full((1, 4, 4, 4), torch.nan)])
def test_image_without_finite_voxels_is_named(image):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*two finite"):
        PercentileNormalize()(named(image))


def test_mask_of_other_shape_is_named(ramp):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*\(10, 10, 10\), its mask's \(10, 10, 9\)"):
        PercentileNormalize()(named(ramp), ramp[..., 1:])


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [(-1, 99, "`lower` must be between"), (0, 101, "`upper` must be between"), (50, 50, "`lower` must be below")],
)
def test_bad_percentile_is_refused(lower, upper, message):
    with pytest.raises(ValueError, match=message):
        PercentileNormalize(lower, upper)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(ramp):
    mask = ramp > 200
    torch.testing.assert_close(
        PercentileNormalize()(ramp.cuda(), mask.cuda()).cpu(), PercentileNormalize()(ramp, mask), rtol=1e-6, atol=1e-6
    )
