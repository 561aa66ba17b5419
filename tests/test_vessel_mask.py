import math
from dataclasses import replace

import pytest
import torch
from monai.data import MetaTensor
from once import simulated

from csvd.phantom import PROTOCOLS
from csvd.transforms.features.vessel_mask import VesselMask, VesselMaskd, vessel_mask


def distance_mm(shape, spacing, points):
    """Distance in mm of every voxel of ``shape`` to the nearest of ``points``, in mm."""
    axes = [torch.arange(float(size)) * step for size, step in zip(shape, spacing, strict=True)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    return torch.cdist(places.float(), torch.tensor(points).float()).amin(dim=1).reshape(shape)


def phantom(spacing):
    """Image, brain mask, tubes and balls in a brain of 56 x 56 x 48 mm.

    Three tubes of radius 0.7 mm: straight along the rows, oblique, and a half circle; four balls of radius 1.5 to
    3 mm, one of them touching the oblique tube.
    """
    shape = [int(size / step) for size, step in zip((56, 56, 48), spacing, strict=True)]
    straight = [(4 + 0.5 * i, 12, 24) for i in range(96)]
    oblique = [(8 + 0.4 * i, 20 + 0.3 * i, 8 + 0.25 * i) for i in range(100)]
    bent = [(28 + 14 * math.cos(a / 30), 22 + 14 * math.sin(a / 30), 36) for a in range(95)]
    tubes = distance_mm(shape, spacing, straight + oblique + bent)
    balls = torch.stack(
        [
            distance_mm(shape, spacing, [center]) - radius
            for center, radius in (((14, 46, 12), 1.5), ((44, 12, 12), 2), ((16, 46, 36), 3), ((28, 35, 20.5), 2))
        ]
    ).amin(dim=0)
    noise = 0.03 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    bright = torch.sigmoid((0.7 - tubes) / 0.3).maximum(torch.sigmoid(-balls / 0.3))
    brain = torch.zeros(1, *shape)
    brain[:, 2:-2, 2:-2, 1:-1] = 1
    image = (0.25 + 0.5 * bright + noise)[None] * brain
    return image, brain, (tubes < 0.7)[None] & (balls > 0.3)[None], (balls < 0.3)[None]


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (0.8, 0.8, 2)])
def test_half_of_the_tubes_and_nothing_of_the_balls_is_masked(spacing):
    image, brain, tubes, balls = phantom(spacing)
    masked = vessel_mask(image, brain, spacing=spacing).bool()
    assert masked[tubes & brain.bool()].float().mean() > 0.45
    assert not masked[balls].any()


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "contrast"), [("ukbb", "swi"), ("oxvasc", "mag"), ("ukbb", "qsm")])
def test_under_two_percent_of_simulated_microbleed_voxels_are_masked(preset, contrast):
    microbleeds, vessels = [], []
    for index in range(2):
        # Many lesions, so that one of them does not decide.
        subject = simulated(replace(PROTOCOLS[preset], lesions=25), seed=77, index=index, phenotype="CADASIL")
        bright = subject.images[contrast] if contrast == "qsm" else -subject.images[contrast]
        masked = VesselMask()(MetaTensor(bright[None], affine=subject.affine), subject.mask[None])[0] > 0
        microbleeds.append(masked[subject.label > 0])
        vessels.append(masked[subject.vessels > 0])
    assert torch.cat(microbleeds).float().mean() < 0.02
    assert torch.cat(vessels).float().mean() > 0.15


@pytest.fixture(scope="module")
def scan():
    """Image, brain mask and vessel mask of the phantom at 1 mm."""
    image, brain, *_ = phantom((1, 1, 1))
    return image, brain, vessel_mask(image, brain)


def test_scale_and_offset_do_not_matter(scan):
    image, brain, expected = scan
    changed = vessel_mask(400 * image - 30, brain) != expected
    assert changed.sum() <= 0.01 * expected.sum()


def test_what_lies_outside_the_brain_does_not_matter(scan):
    image, brain, expected = scan
    assert torch.equal(vessel_mask(image.where(brain > 0, 50.0), brain), expected)
    assert not expected[brain == 0].any()


def test_flip_commutes(scan):
    image, brain, expected = scan
    changed = vessel_mask(image.flip(1), brain.flip(1)).flip(1) != expected
    assert changed.sum() <= 0.01 * expected.sum()


def test_longer_minimum_masks_less(scan):
    image, brain, expected = scan
    longer = vessel_mask(image, brain, min_length_mm=20)
    assert 0 < longer.sum() < expected.sum()
    assert not longer[expected == 0].any()


def test_integer_image_is_accepted(scan):
    image, brain, expected = scan
    changed = vessel_mask((1000 * image).to(torch.int16), brain) != expected
    assert changed.sum() <= 0.02 * expected.sum()


@pytest.mark.parametrize("size", [1, 12])
def test_constant_image_has_no_vessels(size):
    assert not vessel_mask(torch.ones(1, size, size, size), torch.ones(1, size, size, size)).any()


def test_dictionary_version_takes_the_voxel_size_from_the_affine():
    image, brain, *_ = phantom((0.8, 0.8, 2))
    image = MetaTensor(
        image, affine=torch.diag(torch.tensor([-0.8, 0.8, 2, 1.0])), meta={"filename_or_obj": "sub-01_swi.nii.gz"}
    )
    out = VesselMaskd(keys="image")({"image": image, "mask": brain})
    assert out["vessels"].meta["filename_or_obj"] == "sub-01_swi.nii.gz"
    assert out["vessels"].dtype == torch.uint8
    assert torch.equal(out["vessels"].as_tensor(), vessel_mask(image, brain, spacing=(0.8, 0.8, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales_mm": ()}, "`scales_mm` must hold at least one scale"),
        ({"scales_mm": (1, 0)}, "`scales_mm` must be above 0, got 0"),
        ({"min_length_mm": -1}, "`min_length_mm` must be above 0, got -1"),
        ({"min_elongation": 0}, "`min_elongation` must be above 0, got 0"),
    ],
)
def test_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VesselMask(**arguments)


def test_missing_output_key_is_named():
    with pytest.raises(ValueError, match=r"one key for each of \('image', 'other'\), got \('vessels',\)"):
        VesselMaskd(keys=["image", "other"])


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (torch.zeros(1, 8, 8, 8), torch.ones(1, 8, 8, 9), r"vessels of image.*\(8, 8, 8\).*mask's \(8, 8, 9\)"),
        (torch.zeros(2, 8, 8, 8), torch.ones(1, 8, 8, 8), r"shape \(2, 8, 8, 8\): it needs one channel"),
        (torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 8, 8), "its brain mask is empty"),
        (torch.full((1, 8, 8, 8), torch.nan), torch.ones(1, 8, 8, 8), "not finite numbers"),
    ],
)
def test_bad_image_is_named(image, mask, message):
    with pytest.raises(ValueError, match=message):
        vessel_mask(image, mask)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(scan):
    image, brain, expected = scan
    on_cuda = vessel_mask(image.cuda(), brain.cuda())
    # A rounding difference may put a voxel into the other cluster.
    assert (on_cuda.cpu() != expected).sum() <= 0.02 * expected.sum()
