"""What scanner and tools do to simulated images, and what is drawn only with wide randomisation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from once import simulated
from scipy import ndimage
from test_phantom import TINY

from csvd.phantom import MIMICS, PROTOCOLS, simulate_subject
from csvd.phantom.acquisition import LEAST_MM, MOST_MM, _moved, _stored, _tapered, extracted
from csvd.phantom.anatomy import ORIGIN_MM, random_warp, tissue_template
from csvd.phantom.lesions import random_microbleeds
from csvd.phantom.mimics import random_mimics
from csvd.phantom.software import Software
from csvd.phantom.vessels import random_veins

CUBE = torch.zeros(40, 40, 10, dtype=torch.complex64)
CUBE[10:30, 10:30, 3:7] = 1000


def with_software(seed=2, phenotype="aSVD", protocol=TINY, **changes):
    return simulated(replace(protocol, software=Software(**changes)), seed=seed, phenotype=phenotype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taper": 2}, "`taper` must be between 0 and 1"),
        ({"division": 0}, "`division` must be above 0"),
        ({"phase_mask": "no"}, "`phase_mask` must be one of 'positive', 'symmetric', 'susceptibility'"),
    ],
)
def test_impossible_software_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Software(**changes)


def test_shifts_of_the_head_move_no_energy_and_not_the_middle_of_kspace():
    voxel = torch.tensor([0.8, 1.0, 3.0])
    assert _moved(CUBE, voxel, 0.0, np.random.default_rng(0)) is CUBE
    moved = _moved(CUBE, voxel, 1.0, np.random.default_rng(0))
    torch.testing.assert_close(moved.abs().square().sum(), CUBE.abs().square().sum())
    torch.testing.assert_close(moved.sum(), CUBE.sum())
    assert moved.abs()[:10].max() > 20


def test_a_taper_takes_the_ringing_away():
    ringing, tapered = (_tapered(CUBE, (0.5, 0.5, 0.999), taper).abs() for taper in (0.0, 1.0))
    assert ringing.max() > 1100
    assert tapered.max() < 1030


def test_stored_integers_have_steps_and_a_curve():
    image = torch.linspace(0, 2000, 5000)
    assert _stored(image, Software()) is image
    assert len(_stored(image, Software(bits=8)).unique()) == 256
    curved = _stored(image, Software(gamma=0.5))
    assert (curved.diff() > 0).all()
    torch.testing.assert_close(curved[image > 999][0], torch.tensor(1000.0), atol=1, rtol=0)


def test_brain_masks_err_within_limits():
    brain = torch.zeros(60, 60, 30, dtype=torch.bool)
    brain[15:45, 15:45, 5:25] = True
    voxel = torch.tensor([1.0, 1.0, 2.0])
    assert extracted(brain, voxel, 0.0, np.random.default_rng(0)) is brain
    masks = [extracted(brain, voxel, 3.0, np.random.default_rng(seed)) for seed in range(8)]
    inside, outside = (torch.from_numpy(ndimage.distance_transform_edt(m, sampling=voxel)) for m in (brain, ~brain))
    for mask in masks:
        assert not (mask & (outside > MOST_MM)).any()
        assert mask[inside > -LEAST_MM].all()
    assert any((mask & ~brain).any() for mask in masks)
    assert any((~mask & brain).any() for mask in masks)


def test_masks_of_tools_show_what_lies_around_the_brain():
    exact, wide = (with_software(mask_mm=mm) for mm in (0.0, 2.0))
    leak = (wide.mask > 0) & (exact.mask == 0)
    assert leak.sum() > 100
    assert wide.images["mag"][leak].median() > 0
    assert torch.equal(wide.label, exact.label)


def test_symmetric_masks_darken_what_is_diamagnetic_too():
    protocol = replace(TINY, calcifications=20)
    positive, symmetric = (
        with_software(3, "healthy", protocol, phase_mask=kind).images["swi"] for kind in ("positive", "symmetric")
    )
    assert (symmetric <= positive + 1e-3).all()
    assert (symmetric < 0.8 * positive)[positive > 300].any()


def test_susceptibility_masks_darken_microbleeds_not_calcifications():
    subject = with_software(protocol=replace(TINY, lesions=8, calcifications=20), phase_mask="susceptibility")
    ratio = subject.images["swi"] / subject.images["mag"].clamp(min=1)
    assert ratio[subject.label > 0].median() < 0.8
    assert ratio[subject.mimics == MIMICS["calcification"]].median() > 0.95


def test_the_sign_of_the_phase_changes_nothing_else():
    one, other = (with_software(phase_sign=sign).images for sign in (1, -1))
    assert torch.equal(one["phase"], -other["phase"])
    assert all(torch.equal(one[kind], other[kind]) for kind in ("swi", "mag", "qsm"))


def test_what_background_removal_leaves_is_smooth():
    clean, left = (with_software(seed=1, phenotype="healthy", background=share) for share in (0.0, 0.2))
    rest = left.images["qsm"] - clean.images["qsm"]
    assert rest.abs().max() > 0.02
    inside = torch.from_numpy(ndimage.binary_erosion(left.mask.numpy(), iterations=2))[1:]
    assert rest.diff(dim=0)[inside].std() < 0.3 * rest[1:][inside].std()


def test_cavernomas_are_dark_and_lacunes_look_like_fluid():
    subject = simulate_subject(replace(TINY, cavernomas=4.0, lacunes=12.0, tr_ms=2000), seed=3, phenotype="healthy")
    brain, mag = (subject.mask > 0) & (subject.mimics == 0), subject.images["mag"]
    assert mag[subject.mimics == MIMICS["cavernoma"]].median() < 0.7 * mag[brain].median()
    assert mag[subject.mimics == MIMICS["lacune"]].quantile(0.8) > 1.1 * mag[brain].median()
    assert subject.images["qsm"][subject.mimics == MIMICS["lacune"]].median() < 0.05


def test_calcifications_of_the_choroid_plexus_lie_in_the_ventricles():
    blobs = random_mimics(
        np.random.default_rng(0),
        replace(TINY, calcifications=0.0, plexus=30.0),
        random_warp(np.random.default_rng(1), pose_deg=0, age=70),
        age=0,
        lesions=[],
        margin_mm=1,
    )
    fluid = tissue_template()[2]
    voxels = [(blob.mni_mm - torch.tensor(ORIGIN_MM)).round().long() for blob in blobs]
    assert len(blobs) > 15
    assert torch.stack([fluid[tuple(voxel)] for voxel in voxels]).median() > 0.8


def test_mimics_can_be_many_times_as_many():
    def count(mimics):
        protocol = replace(TINY, mimics=mimics, calcifications=2.0, plexus=1.0, cavernomas=1.0, lacunes=2.0)
        warp = random_warp(np.random.default_rng(1), pose_deg=0, age=70)
        return len(random_mimics(np.random.default_rng(0), protocol, warp, age=60, lesions=[], margin_mm=1))

    assert count(5.0) > 3 * count(1.0)


@pytest.mark.slow
def test_special_places_are_near_others_veins_or_the_surface():
    def nearest(special):
        protocol, apart = replace(TINY, lesions=25, radius_mm=1.0, special=special), []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            warp, veins = random_warp(rng, pose_deg=0, age=70), random_veins(rng, density=1.0)
            lesions = random_microbleeds(rng, protocol, "CAA", warp, veins, margin_mm=2 * np.linalg.norm(TINY.voxel_mm))
            places = torch.stack([lesion.centre_mm for lesion in lesions])
            apart.append((torch.cdist(places, places) + 1e3 * torch.eye(len(places))).min(dim=1).values)
        return torch.cat(apart).median()

    assert nearest(1.0) < 0.9 * nearest(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, *(pytest.param(index, marks=pytest.mark.whole) for index in (1, 2))])
def test_wide_randomisation_gives_finite_images_and_lesions_at_their_place(index):
    subject = simulated(PROTOCOLS["random"], seed=77, index=index)
    assert all(image.isfinite().all() for image in subject.images.values())
    assert subject.label.max() == len(subject.lesions)
    inverse = torch.linalg.inv(subject.affine)
    for row in subject.lesions:
        centroid = (subject.label == row["id"]).nonzero().double().mean(0)
        voxel = (inverse @ torch.tensor([row["x_mm"], row["y_mm"], row["z_mm"], 1.0]).double())[:3]
        assert float((voxel - centroid).abs().max()) < 1, row


def test_painted_microbleeds_are_dark_without_a_field():
    painted, physical = (
        simulated(replace(TINY, lesions=8, painted=share), seed=2, phenotype="aSVD") for share in (1.0, 0.0)
    )
    assert len(painted.lesions) > 3
    inside, beside = painted.label > 0, (painted.label == 0) & (painted.mask > 0)
    assert painted.images["mag"][inside].median() < 0.7 * painted.images["mag"][beside].median()
    assert painted.images["qsm"][inside].median() > painted.images["qsm"][beside].median() + 0.05
    assert painted.images["phase"][inside].std() < 0.5 * physical.images["phase"][physical.label > 0].std()


@pytest.mark.slow
def test_any_contrast_leaves_the_physics_of_tissue_aside():
    def tissues(index):
        subject = simulate_subject(replace(TINY, any_contrast=True), seed=4, index=index, phenotype="healthy")
        values = subject.images["mag"][subject.mask > 0]
        return float(values.quantile(0.95) / values.quantile(0.05))

    ratios = [tissues(index) for index in range(4)]
    assert max(ratios) > 1.5 * min(ratios)
