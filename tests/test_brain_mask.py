"""Brain masks of drawn and simulated heads, of stripped scans and of real ones."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged, Orientationd
from once import simulated
from scipy import ndimage

from csvd.phantom import PROTOCOLS
from csvd.transforms.brain._brain_extraction import depth_mm, fill_slices, grown
from csvd.transforms.brain.brain_mask import BrainMask, BrainMaskd, brain_mask
from csvd.transforms.grid.select_volume import SelectVolumed

REAL = Path(__file__).parents[2] / "shared/data"


def ellipsoid(shape, voxel_mm, radii_mm):
    axes = [(torch.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, voxel_mm, strict=True)]
    grid = torch.meshgrid(*axes, indexing="ij")
    return sum((axis / radius) ** 2 for axis, radius in zip(grid, radii_mm, strict=True)) < 1


def draw_head(voxel_mm=(2.0, 2.0, 3.0), bias=0.0):
    """Brain of 100 with a dark bleed, skull of 10, scalp of 250 that touches the brain at one place, noise of 5."""
    shape = tuple(int(length / size) for length, size in zip((190, 230, 170), voxel_mm, strict=True))
    brain = ellipsoid(shape, voxel_mm, (65, 85, 60))
    head = torch.full(shape, 0.0)
    head[ellipsoid(shape, voxel_mm, (83, 103, 78))] = 250
    head[ellipsoid(shape, voxel_mm, (75, 95, 70))] = 10
    half = [n // 2 for n in shape]
    nerve = (half[0], slice(half[1], None), slice(half[2] - 1, half[2] + 2))
    head[nerve] = head[nerve].clamp(min=100).where(head[nerve] > 0, 0)
    head[brain] = 100
    head[half[0], half[1] // 2 : half[1] // 2 + 3, half[2]] = 5
    head *= 1 + bias * torch.linspace(-1, 1, shape[0])[:, None, None]
    head += 5 * torch.randn(shape, generator=torch.Generator().manual_seed(0)).abs()
    affine = torch.diag(torch.tensor([*voxel_mm, 1.0]))
    return MetaTensor(head[None], affine=affine, meta={"filename_or_obj": "sub-01_swi.nii.gz"}), brain[None]


def dice(mask, truth):
    mask, truth = mask.as_tensor() > 0, truth > 0
    return (2 * (mask & truth).sum() / (mask.sum() + truth.sum())).item()


@pytest.fixture(scope="module")
def head():
    return draw_head()


@pytest.mark.parametrize("voxel_mm", [(0.8, 0.8, 3.0), (3.0, 3.0, 3.6), (2.0, 2.0, 2.0), (1.0, 1.0, 5.0)])
def test_brain_is_found_inside_skull_and_scalp(voxel_mm):
    image, truth = draw_head(voxel_mm)
    mask, method = brain_mask(image)
    assert method == "builtin"
    assert dice(mask, truth) > 0.95


def test_bias_does_not_cost_brain():
    image, truth = draw_head(bias=0.4)
    assert dice(BrainMask()(image), truth) > 0.95


def test_a_bleed_belongs_to_the_brain(head):
    image, _ = head
    dark = (image[0] < 30) & ellipsoid(image.shape[1:], (2, 2, 3), (60, 80, 55))
    assert BrainMask()(image)[0][dark].all()


def test_the_neck_does_not(head):
    image, truth = head
    neck = 130 * ellipsoid((95, 115, 40), (2, 2, 3), (75, 75, 300)) + 1.0
    longer = MetaTensor(torch.cat([neck[None], image.as_tensor()], dim=-1), affine=image.affine)
    assert dice(BrainMask()(longer)[..., 40:], truth) > 0.9


@pytest.mark.parametrize("contrasted", ["magnitude", "signed"])
def test_stripped_scan_is_recognised(head, contrasted):
    image, truth = head
    stripped = (image - 105 * (contrasted == "signed")) * truth
    mask, method = brain_mask(stripped)
    assert method == "zeros"
    assert dice(mask, truth) > 0.999


def test_stripped_scan_whose_contrasts_mislead_the_extraction_is_taken_whole(head, monkeypatch):
    image, truth = head
    part = ellipsoid(image.shape[1:], (2, 2, 3), (30, 40, 30)).numpy()  # a tenth of the brain
    monkeypatch.setattr(sys.modules["csvd.transforms.brain.brain_mask"], "extract_brain", lambda volume, affine: part)
    mask, method = brain_mask(image * truth)
    assert method == "zeros"
    assert dice(mask, truth) > 0.999


def test_head_whose_air_is_zero_in_the_corners_is_no_stripped_scan(head, monkeypatch):
    image, _ = head
    part = ellipsoid(image.shape[1:], (2, 2, 3), (50, 70, 45)).numpy()  # less than 0.3 of what is not zero
    monkeypatch.setattr(sys.modules["csvd.transforms.brain.brain_mask"], "extract_brain", lambda volume, affine: part)
    mask, method = brain_mask(image * ellipsoid(image.shape[1:], (2, 2, 3), (92, 112, 82)))
    assert method == "builtin"
    assert (mask[0].numpy() == part).all()


def test_head_on_a_black_background_is_not_taken_for_a_stripped_scan(head):
    image, truth = head
    outside = ~ellipsoid(image.shape[1:], (2, 2, 3), (84, 104, 79))
    mask, method = brain_mask(image.masked_fill(outside, 0))
    assert method == "builtin"
    assert dice(mask, truth) > 0.95


def test_field_of_view_without_air_is_brain_as_a_whole():
    tissue = 100 + 5 * torch.randn(1, 51, 51, 41, generator=torch.Generator().manual_seed(0))
    tissue[0, 20:24] = 10  # a vein
    mask = BrainMask()(MetaTensor(tissue, affine=torch.diag(torch.tensor([0.47, 0.47, 1, 1]))))
    assert mask.all()


def test_given_mask_wins_and_is_made_binary(head):
    image, truth = head
    out = BrainMaskd("image")({"image": image, "mask": 3.0 * truth})
    assert torch.equal(out["mask"].as_tensor(), truth.byte())
    assert out["mask"].dtype == torch.uint8
    assert out["mask"].meta["brain_mask"] == out["image"].meta["brain_mask"] == "given"
    assert "brain_mask" not in image.meta


def test_method_is_recorded_and_affine_kept(head):
    image, _ = head
    out = BrainMaskd("image")({"image": image})
    assert out["mask"].meta["brain_mask"] == out["image"].meta["brain_mask"] == "builtin"
    assert torch.equal(out["mask"].affine, image.affine)


def test_plain_tensor_counts_as_1_mm():
    image, truth = draw_head((1.0, 1.0, 1.0))
    assert dice(MetaTensor(BrainMaskd("image")({"image": image.as_tensor()})["mask"]), truth) > 0.95


def test_absent_image_is_allowed_on_request():
    assert BrainMaskd("image", allow_missing_keys=True)({"label": 1}) == {"label": 1}


@pytest.mark.parametrize("value", [0.0, 7.0, torch.nan])
def test_constant_or_broken_image_is_named(value):
    image = MetaTensor(torch.full((1, 16, 16, 16), value), meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*finite and not all equal"):
        BrainMask()(image)


def test_signed_head_is_named(head):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*of its voxels are negative.*Give a mask"):
        BrainMask()(head[0] - 100)


def test_zeros_needs_a_constant_outside(head):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*no constant outside"):
        BrainMask("zeros")(head[0])


def test_a_few_zeros_are_no_outside(head):
    image = head[0][:, 30:60, 30:60, 20:40].clone()
    image[..., 0, :] = 0
    image[..., -1, :] = 0
    with pytest.raises(ValueError, match="no constant outside"):
        BrainMask("zeros")(image)


def test_mask_of_other_shape_is_named(head):
    image, truth = head
    with pytest.raises(ValueError, match=r"cannot mask image 'sub-01_swi.nii.gz': its shape is .*, its mask's"):
        BrainMask()(image, truth[..., 1:])


def test_empty_mask_is_named(head):
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*its mask is empty"):
        BrainMask()(head[0], torch.zeros(head[0].shape))


@pytest.mark.parametrize("make", [BrainMask, lambda method: BrainMaskd("image", method=method)])
def test_unknown_method_is_refused(make):
    with pytest.raises(ValueError, match="`method` must be one of 'auto', 'zeros', 'builtin', 'synthstrip'"):
        make("spm")


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared scans")
@pytest.mark.parametrize(
    ("name", "low_ml", "high_ml"),
    [
        ("siemens-mefmri-t2star-dicom/me_fMRI_4_e1.nii", 1200, 1500),
        ("siemens-mefmri-t2star-dicom/me_fMRI_4_e2.nii", 1100, 1400),
        ("megre-crop-magphase/Mag.nii", 23.4, 23.5),  # the whole field of view
        ("open-ms-raw-t1-t2-flair/patient01_study1_FLAIR.nii.gz", 1200, 1500),
    ],
)
def test_volume_on_real_scans_and_way_back_to_their_grid(name, low_ml, high_ml):
    load = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            SelectVolumed("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            BrainMaskd("image"),
        ]
    )
    out = load({"image": str(REAL / name)})
    assert low_ml < float(out["mask"].sum() * out["mask"].affine.det().abs()) / 1000 < high_ml
    back = Invertd("mask", load, orig_keys="image", nearest_interp=True, to_tensor=True)(out)["mask"]
    assert back.sum() == out["mask"].sum()
    torch.testing.assert_close(back.affine, torch.as_tensor(back.meta["original_affine"], dtype=torch.float64))


def test_holes_are_filled_slice_by_slice():
    generator = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(generator.random((30, 40, 7)), (2, 2, 0)) > 0.5
    expected = np.stack([ndimage.binary_fill_holes(mask[..., k]) for k in range(7)], axis=-1)
    assert expected.sum() > mask.sum()
    np.testing.assert_array_equal(fill_slices(mask), expected)
    assert fill_slices(np.ones((3, 4, 5), bool)).all()
    assert not fill_slices(np.zeros((3, 4, 5), bool)).any()


@pytest.mark.parametrize("low", [0, 3])
@pytest.mark.parametrize("high", [20, 15])
def test_distances_in_a_box_are_those_in_the_whole_volume(low, high):
    mask = np.zeros((20, 30, 10), bool)
    mask[low:high, 5:25, 2:9] = np.random.default_rng(0).random((high - low, 20, 7)) > 0.2
    size = np.array([0.8, 1.1, 3.0])
    np.testing.assert_array_equal(depth_mm(mask, size), ndimage.distance_transform_edt(mask, sampling=size))
    for radius_mm in (0.9, 3.0, 7.0):
        expected = ndimage.distance_transform_edt(~mask, sampling=size) <= radius_mm
        np.testing.assert_array_equal(grown(mask, size, radius_mm), expected)
    nothing = np.zeros((3, 4, 5), bool)
    assert not depth_mm(nothing, size).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    ["ukbb", "oxvasc", "random", *(pytest.param(name, marks=pytest.mark.whole) for name in ("tich2", "ccm3t"))],
)
@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=pytest.mark.whole)])
def test_dice_on_simulated_heads(preset, seed):
    subject = simulated(PROTOCOLS[preset], seed=seed, head=True)
    for name in ("swi", "mag"):
        image = MetaTensor(subject.images[name][None], affine=subject.affine)
        assert dice(BrainMask("builtin")(image), subject.mask[None]) > 0.95


@pytest.mark.slow
def test_a_clinical_scan_takes_three_seconds():
    image, _ = draw_head((0.75, 0.8, 3.5))
    assert image.numel() > 256 * 280 * 46
    start = time.process_time()
    BrainMask()(image)
    assert time.process_time() - start < 6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(head):
    image, _ = head
    on_cuda = BrainMask()(image.cuda())
    assert on_cuda.is_cuda
    assert torch.equal(on_cuda.as_tensor().cpu(), BrainMask()(image).as_tensor())
