"""Balls of known susceptibility in a brain with veins: their sign, whatever the grid and the convention."""

import numpy as np
import pytest
import torch
from balls import BALLS_MM, CHI_PPM, GRIDS, SIGN, balls_and_veins, wrapped

from csvd.transforms import SusceptibilitySign, lesion_contrast, phase_convention, relative_susceptibility


@pytest.fixture(scope="module", params=GRIDS)
def scene(request):
    return balls_and_veins(**GRIDS[request.param])


@pytest.fixture(scope="module")
def simple():
    return balls_and_veins(**GRIDS["isotropic"])


@pytest.mark.parametrize("way", [1, -1])
def test_signs_are_told_on_any_grid_in_either_convention(scene, way):
    phase, label, mask, affine = scene
    told = SusceptibilitySign()(label, way * phase, mask, affine, kind="phase")
    assert told.convention == way
    assert told.sign == SIGN


def test_conventions_give_the_same_numbers(simple):
    phase, label, mask, affine = simple
    up, down = (SusceptibilitySign()(label, way * phase, mask, affine, kind="phase") for way in (1, -1))
    assert up.contrast == pytest.approx(down.contrast, rel=1e-3, abs=1e-3)
    assert up.evidence == pytest.approx(-down.evidence)


def test_wraps_and_a_smooth_background_do_not_matter(simple):
    phase, label, mask, affine = simple
    ramp = torch.linspace(0, 12, phase.shape[1])[None, :, None, None]  # 2 turns over the brain
    raw = wrapped(2 * phase + ramp)
    assert (raw.diff(dim=1).abs() > 6).any()
    assert SusceptibilitySign()(label, raw, mask, affine, kind="phase").sign == SIGN


def test_field_lies_along_the_worlds_z_axis(simple):
    phase, label, mask, affine = simple
    turned = affine[[0, 2, 1, 3]]  # the same voxels, said to lie with another axis along the tube
    chi = [relative_susceptibility(phase[0], mask[0] > 0, world) for world in (affine, turned)]
    right, wrong = (lesion_contrast(label[0], one, mask[0] > 0, affine)[1][0] for one in chi)
    assert right > 3 * wrong


def test_map_holds_its_sign_at_a_known_world_point(scene):
    phase, _, mask, affine = scene
    chi = relative_susceptibility(phase[0], mask[0] > 0, affine)
    middle = affine @ torch.tensor([*((torch.tensor(phase.shape[1:]) - 1) / 2), 1.0], dtype=torch.float64)
    for n in (1, 2):
        world = middle + torch.tensor([*BALLS_MM[n], 0.0], dtype=torch.float64)
        value = chi[tuple((torch.linalg.inv(affine) @ world)[:3].round().long())]
        assert torch.sign(value) == np.sign(CHI_PPM[n])


def test_without_veins_all_is_unclear():
    phase, label, mask, affine = balls_and_veins(**GRIDS["isotropic"], vein_ppm=0.0)
    told = SusceptibilitySign()(label, phase, mask, affine, kind="phase")
    assert told.convention == 0
    assert set(told.sign.values()) == {"unclear"}
    assert np.isnan([*told.contrast.values()]).all()


def test_lesions_do_not_vote_for_the_convention(simple):
    phase, label, mask, affine = balls_and_veins(**GRIDS["isotropic"], chi_ppm=dict.fromkeys(CHI_PPM, -3.0))
    told = SusceptibilitySign()(label, phase, mask, affine, kind="phase")
    assert told.convention == 1
    assert set(told.sign.values()) == {"diamagnetic"}


def test_qsm_is_its_own_sign(simple):
    _, label, mask, affine = simple
    qsm = 0.02 * torch.from_numpy(np.random.default_rng(1).standard_normal(label.shape).astype(np.float32))
    for n, chi in CHI_PPM.items():
        qsm[label == n] += chi
    told = SusceptibilitySign()(label, qsm, mask, affine, kind="qsm")
    assert told.sign == SIGN
    assert told.convention == 1


def test_no_lesion_is_no_sign(simple):
    phase, label, mask, affine = simple
    assert SusceptibilitySign()(torch.zeros_like(label), phase, mask, affine, kind="phase").sign == {}


def test_lesion_with_nothing_around_it_is_unclear():
    everywhere = torch.ones(1, 12, 12, 12, dtype=torch.int32)
    image = torch.rand(1, 12, 12, 12)
    for kind in ("phase", "qsm"):
        told = SusceptibilitySign()(everywhere, image, torch.ones_like(image), torch.eye(4), kind=kind)
        assert told.sign == {1: "unclear"}


def test_convention_of_no_brain_has_no_evidence():
    nothing = torch.zeros(8, 8, 8)
    assert phase_convention(nothing, nothing > 0, torch.eye(4)) == 0


@pytest.mark.parametrize("argument", ["least_contrast", "least_evidence"])
def test_levels_are_above_0(argument):
    with pytest.raises(ValueError, match=f"{argument}.*above 0, got 0"):
        SusceptibilitySign(**{argument: 0})


def test_arguments_that_do_not_fit_are_named(simple):
    phase, label, mask, affine = simple
    judge = SusceptibilitySign()
    with pytest.raises(ValueError, match="`kind` must be one of 'phase', 'qsm', got 'mag'"):
        judge(label, phase, mask, affine, kind="mag")
    with pytest.raises(ValueError, match=r"needs to be \(1, H, W, D\)"):
        judge(label[0], phase, mask, affine, kind="phase")
    with pytest.raises(ValueError, match="its phase's"):
        judge(label, phase[:, 1:], mask, affine, kind="phase")
    with pytest.raises(ValueError, match="its mask's"):
        judge(label, phase, mask[:, 1:], affine, kind="phase")
    with pytest.raises(ValueError, match="cannot compute the susceptibility of"):
        relative_susceptibility(phase[0], mask[0, 1:] > 0, affine)
