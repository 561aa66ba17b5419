import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.features.inpaint_mask import InpaintMask, InpaintMaskd, inpaint_mask


@pytest.fixture
def noise():
    """Two channels of noise, (2, 9, 10, 11)."""
    return torch.randn(2, 9, 10, 11, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def block():
    """Mask of a block of 5 x 5 x 5 voxels, (1, 9, 10, 11)."""
    mask = torch.zeros(1, 9, 10, 11, dtype=torch.uint8)
    mask[:, 2:7, 3:8, 4:9] = 1
    return mask


def test_single_voxel_becomes_the_mean_of_its_26_neighbours(noise):
    mask = torch.zeros(1, 9, 10, 11)
    mask[0, 4, 5, 6] = 1
    around = noise[:, 3:6, 4:7, 5:8].flatten(1).sum(dim=1) - noise[:, 4, 5, 6]
    torch.testing.assert_close(inpaint_mask(noise, mask)[:, 4, 5, 6], around / 26)


def test_corner_uses_the_neighbours_it_has(noise):
    mask = torch.zeros(1, 9, 10, 11)
    mask[0, 0, 0, 0] = 1
    around = noise[:, :2, :2, :2].flatten(1).sum(dim=1) - noise[:, 0, 0, 0]
    torch.testing.assert_close(inpaint_mask(noise, mask)[:, 0, 0, 0], around / 7)


def test_inner_layers_are_filled_from_the_outer_ones(noise, block):
    outer = block.clone()
    outer[:, 3:6, 4:7, 5:8] = 0
    first = inpaint_mask(noise, block)
    again = inpaint_mask(first, block - outer)
    torch.testing.assert_close(again, first)


def test_constant_image_stays_constant(block):
    torch.testing.assert_close(inpaint_mask(torch.full((1, 9, 10, 11), 0.3), block), torch.full((1, 9, 10, 11), 0.3))


def test_values_under_the_mask_do_not_matter(noise, block):
    spoiled = noise.masked_fill(block.bool(), torch.nan)
    torch.testing.assert_close(inpaint_mask(spoiled, block), inpaint_mask(noise, block))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_outside_the_mask_every_bit_is_kept(noise, block, dtype):
    image = noise.to(dtype)
    before = image.clone()
    result = inpaint_mask(image, block)
    assert result.dtype == dtype
    assert torch.equal(result[:, block[0] == 0], image[:, block[0] == 0])
    assert torch.equal(image, before)


def test_integer_image_becomes_float(block):
    image = torch.arange(990, dtype=torch.int16).reshape(1, 9, 10, 11)
    assert inpaint_mask(image, block).dtype == torch.float32


def test_empty_mask_changes_nothing(noise):
    assert torch.equal(inpaint_mask(noise, torch.zeros(1, 9, 10, 11)), noise)


def test_single_unmasked_voxel_fills_everything():
    mask = torch.ones(1, 6, 5, 4)
    mask[0, 0, 0, 0] = 0
    torch.testing.assert_close(
        inpaint_mask(torch.full((1, 6, 5, 4), 7.0) * (1 - mask), mask), torch.full((1, 6, 5, 4), 7.0)
    )


def test_dictionary_version_keeps_meta_data_and_mask(noise, block):
    image = MetaTensor(noise, meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    out = InpaintMaskd(keys="image", mask_key="vessels")({"image": image, "vessels": block})
    assert out["image"].meta["filename_or_obj"] == "sub-01_swi.nii.gz"
    assert out["vessels"] is block
    torch.testing.assert_close(out["image"].as_tensor(), InpaintMask()(noise, block))


def test_mask_of_another_shape_is_named(noise):
    image = MetaTensor(noise, meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    with pytest.raises(ValueError, match=r"cannot inpaint image 'sub-01_swi.nii.gz'.*\(9, 10, 11\).*\(9, 10, 12\)"):
        inpaint_mask(image, torch.zeros(1, 9, 10, 12))


def test_mask_of_the_whole_image_is_named(noise):
    with pytest.raises(ValueError, match=r"shape \(2, 9, 10, 11\): its mask covers the whole image"):
        inpaint_mask(noise, torch.ones(1, 9, 10, 11))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(noise, block):
    torch.testing.assert_close(
        inpaint_mask(noise.cuda(), block.cuda()).cpu(), inpaint_mask(noise, block), rtol=1e-5, atol=1e-6
    )
