"""Alignment with MNI152: points of a brain of known warp are found, however the scan is stored; a bad one is told."""

import numpy as np
import pytest
import torch
from geometry import grid_affine
from threads import threads

from csvd.anatomy import registration
from csvd.anatomy.affine import apply_affine
from csvd.anatomy.mars import mars_at
from csvd.anatomy.regions import mni_tissue, region_at
from csvd.anatomy.registration import align_to_mni, box_to_mni
from csvd.phantom.anatomy import random_warp, sample_template, tissue_template

GRIDS = {
    "RAS": ("RAS", (2.0, 2.0, 2.5), 0.0, (104, 120, 88)),
    "flipped and turned": ("PIR", (2.0, 2.5, 2.0), 0.0, (120, 88, 104)),
    "oblique": ("LAS", (2.0, 2.0, 2.5), 25.0, (110, 125, 105)),
    "thick": ("RAS", (1.5, 1.5, 5.0), 0.0, (139, 160, 44)),
}
PLACES = {
    (40, 30, 25): ("lobar", "right", "frontal"),
    (-46, -40, 44): ("lobar", "left", "parietal"),
    (56, -25, -12): ("lobar", "right", "temporal"),
    (-14, -88, 0): ("lobar", "left", "occipital"),
    (26, 2, 0): ("deep", "right", "basal ganglia"),
    (-12, -18, 7): ("deep", "left", "thalamus"),
    (26, -62, -36): ("infratentorial", "right", "cerebellum"),
    (0, -27, -32): ("infratentorial", "midline", "brainstem"),
}


@pytest.fixture(scope="module")
def warp():
    """A head of its own shape, turned by some 12 degrees."""
    return random_warp(np.random.default_rng(3), pose_deg=8.0, age=60)


def scan_of(warp, axcodes, voxel_mm, oblique_degrees, shape):
    """A scan of T2*-like contrast and its brain mask, (1, H, W, D), and its affine."""
    affine = torch.from_numpy(grid_affine(axcodes, voxel_mm, oblique_degrees, shape))
    grey, white, fluid, brain = sample_template(tissue_template(), warp, affine.float(), torch.Size(shape))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    image = 100 * (8 * grey + 7 * white + 10 * fluid) + 30 * noise
    return image[None], (brain > 0.5)[None], affine


@pytest.fixture(scope="module", params=GRIDS)
def aligned(request, warp):
    return align_to_mni(*scan_of(warp, *GRIDS[request.param]))


def test_places_of_a_known_warp_get_region_side_and_mars(aligned, warp):
    points_mm = warp.to_world(torch.tensor(list(PLACES)).float())
    found = apply_affine(aligned.matrix, points_mm)
    places = [(*place, mars) for place, mars in zip(region_at(found), mars_at(found), strict=True)]
    assert places == list(PLACES.values())
    assert (found - torch.tensor(list(PLACES))).norm(dim=1).median() < 4


def test_a_whole_brain_is_registered_without_warning(aligned):
    assert (aligned.method, aligned.warning) == ("registration", None)
    assert 0.92 < aligned.overlap < 1


def test_fair_registration_is_kept_with_a_warning(warp, monkeypatch):
    monkeypatch.setattr(registration, "FAIR_OVERLAP", 1.0)
    alignment = align_to_mni(*scan_of(warp, *GRIDS["thick"]))
    assert alignment.method == "registration"
    assert "only fair" in alignment.warning


@pytest.mark.slow
def test_same_scan_gives_the_same_bits_with_every_number_of_threads(warp):
    scan, matrices = scan_of(warp, *GRIDS["thick"]), []
    for number in (1, 1, 2):
        with threads(number):
            matrices.append(align_to_mni(*scan).matrix)
    assert torch.equal(matrices[0], matrices[1])
    assert torch.equal(matrices[0], matrices[2])


def test_contrast_does_not_matter(warp):
    image, mask, affine = scan_of(warp, *GRIDS["RAS"])
    bright, dark = (apply_affine(align_to_mni(sign * image, mask, affine).matrix, CORNERS) for sign in (1, -1))
    assert (bright - dark).norm(dim=1).max() < 2


CORNERS = torch.tensor([[x, y, z] for x in (-50.0, 50) for y in (-60.0, 40) for z in (-30.0, 50)])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slab_has_no_region_and_says_so(warp, axis):
    image, mask, affine = scan_of(warp, *GRIDS["RAS"])
    slab = torch.zeros_like(mask)
    slab.narrow(axis + 1, mask.shape[axis + 1] // 2, 25).copy_(mask.narrow(axis + 1, mask.shape[axis + 1] // 2, 25))
    alignment = align_to_mni(image, slab, affine)
    assert (alignment.matrix, alignment.method, alignment.overlap) == (None, "none", None)
    assert "not that of a whole brain" in alignment.warning


@pytest.mark.parametrize("mask", [torch.zeros(1, 8, 8, 8), None])
def test_no_mask_has_no_region(mask):
    assert align_to_mni(torch.rand(1, 8, 8, 8), mask, np.eye(4)).matrix is None


def brick():
    """Noise in a brick of the brain's extents, stored on the template's grid."""
    mask = torch.zeros(1, *mni_tissue()[0].shape)
    mask[:, 13:86, 17:104, 4:78] = 1
    return torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)), mask, mni_tissue()[3]


def test_what_is_no_brain_falls_back_to_the_bounding_box():
    alignment = align_to_mni(*brick())
    assert alignment.method == "bounding box"
    assert alignment.overlap < registration.MIN_OVERLAP
    assert "is poor" in alignment.warning
    assert torch.equal(alignment.matrix, box_to_mni(brick()[1], torch.from_numpy(brick()[2])))


def test_implausible_volume_falls_back(monkeypatch):
    monkeypatch.setattr(registration, "VOLUME_RATIOS", (3.0, 4.0))
    monkeypatch.setattr(registration, "MIN_OVERLAP", 0.0)
    assert align_to_mni(*brick()).method == "bounding box"


def test_failed_registration_falls_back(monkeypatch):
    def fail(*args):
        raise RuntimeError("All samples map outside moving image buffer.")

    monkeypatch.setattr(registration, "register", fail)
    alignment = align_to_mni(*brick())
    assert (alignment.method, alignment.overlap) == ("bounding box", None)
    assert "registration to MNI152 failed" in alignment.warning


def test_constant_image_falls_back():
    image, mask, affine = brick()
    assert align_to_mni(0 * image + 5, mask, affine).method == "bounding box"


def test_box_of_the_template_is_mapped_to_itself_wherever_it_lies():
    brain, _, _, affine = mni_tissue()
    scale, shift = torch.tensor([0.9, 1.0, 1.1]).double(), torch.tensor([7.0, -30.0, 12.0]).double()
    moved = torch.from_numpy(affine).clone()
    moved[:3] = scale.diag() @ moved[:3]
    moved[:3, 3] += shift
    points_mni = torch.tensor([[30.0, -20.0, 40.0], [-25.0, 0.0, 5.0]]).double()
    found = apply_affine(box_to_mni(torch.from_numpy(brain)[None], moved), points_mni * scale + shift)
    torch.testing.assert_close(found, points_mni, atol=0.01, rtol=0)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"cannot register .* it needs to be \(1, H, W, D\)"):
        align_to_mni(torch.rand(2, 8, 8, 8), torch.ones(1, 8, 8, 8), np.eye(4))
    with pytest.raises(ValueError, match=r"cannot register .* its mask's \(8, 8, 9\)"):
        align_to_mni(torch.rand(1, 8, 8, 8), torch.ones(1, 8, 8, 9), np.eye(4))
