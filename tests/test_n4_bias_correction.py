"""N4 bias correction on a phantom whose shading is known."""

import time

import pytest
import torch
from monai.data import MetaTensor
from threads import threads
from torch.nn.functional import interpolate

from csvd.transforms.intensity.n4_bias_correction import N4BiasCorrection, N4BiasCorrectiond


def make_head(shape):
    """Ball of two folded tissues and some noise, its mask, and the logarithm of a smooth bias field."""
    rng = torch.Generator().manual_seed(0)
    x, y, z = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    mask = x**2 + y**2 + z**2 < 0.9
    folds = interpolate(torch.randn(1, 1, *(s // 6 for s in shape), generator=rng), size=shape, mode="trilinear")[0, 0]
    tissue = torch.where(folds > 0, 100.0, 70.0) + 3 * torch.randn(shape, generator=rng)
    log_bias = 0.3 * torch.sin(1.5 * x + 0.5) + 0.25 * y * z - 0.2 * y**2
    return (tissue * mask)[None], mask[None], log_bias[None]


@pytest.fixture(scope="module")
def head():
    return make_head((96, 112, 40))


def shading(image, truth, mask):
    """Standard deviation of the logarithm of what divides ``image`` from the truth."""
    return (image / truth)[mask].log().std().item()


def named(tensor):
    return MetaTensor(tensor, meta={"filename_or_obj": "sub-01_swi.nii.gz"})


def test_smooth_bias_is_reduced_to_a_fifth(head):
    truth, mask, log_bias = head
    shaded = truth * log_bias.exp()
    assert shading(shaded, truth, mask) > 0.15
    corrected = N4BiasCorrection()(shaded, mask)
    assert shading(corrected, truth, mask) < 0.2 * shading(shaded, truth, mask)


def test_without_a_mask_the_nonzero_voxels_are_the_brain(head):
    truth, mask, log_bias = head
    shaded = truth * log_bias.exp()
    torch.testing.assert_close(N4BiasCorrection()(shaded), N4BiasCorrection()(shaded, mask))


def test_each_channel_has_its_own_field(head):
    truth, mask, log_bias = head
    corrected = N4BiasCorrection()(torch.cat([truth * log_bias.exp(), truth * (-log_bias).exp()]), mask)
    assert all(shading(channel[None], truth, mask) < 0.04 for channel in corrected)


def test_a_few_voxels_below_zero_are_left_out_of_the_fit(head):
    truth, mask, log_bias = head
    shaded = truth * log_bias.exp()
    shaded[0, 48, 56, 10:20] = -1
    keep = mask & (shaded > 0)
    assert shading(N4BiasCorrection()(shaded, mask), truth, keep) < 0.04


@pytest.mark.parametrize("shape", [(24, 24, 41), (51, 51, 3)])
def test_small_fields_of_view_work(shape):
    image = 100 + 10 * torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    assert N4BiasCorrection()(image).isfinite().all()


def test_item_contrast_wins_and_bright_images_stay():
    image = torch.randn(1, 16, 16, 16)
    correct = N4BiasCorrectiond("image", contrast="dark")
    assert correct({"image": image, "contrast": "bright"})["image"] is image
    assert N4BiasCorrectiond("image", contrast="bright")({"image": image})["image"] is image


def test_dictionary_version_keeps_meta_data(head):
    truth, mask, _ = head
    out = N4BiasCorrectiond("image")({"image": named(truth), "mask": mask})
    assert out["image"].meta["filename_or_obj"] == "sub-01_swi.nii.gz"


def test_signed_image_is_refused_by_name():
    image = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*must be magnitudes, 5.% of them are below 0"):
        N4BiasCorrection()(named(image))


@pytest.mark.parametrize("value", [1.0, torch.nan])
def test_constant_or_broken_image_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*finite and not all equal"):
        N4BiasCorrection()(named(torch.full((1, 16, 16, 16), value)))


@pytest.mark.parametrize("arguments", [{"shrink_factor": 0}, {"iterations": 0}])
def test_bad_argument_is_refused(arguments):
    with pytest.raises(ValueError, match="must be above 0"):
        N4BiasCorrection(**arguments)


def test_unknown_contrast_of_an_item_is_refused_by_name():
    with pytest.raises(ValueError, match=r"contrast of image 'sub-01_swi.nii.gz'` must be one of 'dark', 'bright'"):
        N4BiasCorrectiond("image")({"image": named(torch.ones(1, 8, 8, 8)), "contrast": "grey"})


def test_every_number_of_threads_gives_the_same_bits():
    truth, mask, log_bias = make_head((48, 56, 24))
    shaded, corrected = truth * log_bias.exp(), []
    for number in (1, 2, 3):
        with threads(number):
            corrected.append(N4BiasCorrection(iterations=5)(shaded, mask))
    assert torch.equal(corrected[0], corrected[1])
    assert torch.equal(corrected[0], corrected[2])


@pytest.mark.slow
def test_a_brain_takes_a_few_seconds():
    truth, mask, log_bias = make_head((182, 226, 48))
    N4BiasCorrection()(truth[:, ::8, ::8, ::8], mask[:, ::8, ::8, ::8])  # loads ITK
    start = time.process_time()
    N4BiasCorrection()(truth * log_bias.exp(), mask)
    assert time.process_time() - start < 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(head):
    image, mask, _ = head
    on_cuda = N4BiasCorrection()(image.cuda(), mask.cuda())
    torch.testing.assert_close(on_cuda.cpu(), N4BiasCorrection()(image, mask), rtol=1e-3, atol=1e-3)
