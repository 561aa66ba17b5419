import math
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from planted import ball

from csvd.phantom.planting_phase import dipole_phase, wrapped
from csvd.phantom.planting_scan import MIMIC_CODES, plant_scan
from csvd.phantom.planting_sites import LOCATIONS, draw_sites, usable_voxels
from csvd.planting.draws import Draws
from csvd.planting.patches import Kind, plant_patches, slices_mm, visibility
from csvd.planting.shapes import (
    Dots,
    Raster,
    Vessels,
    dot_coverage,
    draw_dots,
    draw_vessels,
    soft_coverage,
    vessel_coverage,
)


def raster(z_mm=(-4.0, 0.0, 4.0), thickness_mm=4.0, step_mm=0.05):
    axis = (torch.arange(241) - 120) * step_mm
    z = torch.tensor([z_mm])
    return Raster(axis, axis, z, torch.full_like(z, thickness_mm), middle=len(z_mm) // 2)


def round_dot(radius, z=0.0, height=None, sharpness=2.0):
    one = torch.ones(1)
    height = radius if height is None else height
    return Dots(
        torch.tensor([[0.0, 0.0, z]]), radius * one, height * one, sharpness * one, one, 0 * one, torch.zeros(1, 4)
    )


def width_mm(profile, step_mm=0.05):
    """Full width at half maximum of a line."""
    return int((profile >= profile.max() / 2).sum()) * step_mm


@pytest.mark.parametrize("radius", [0.5, 1.2, 3.0])
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_a_microbleed_is_twice_its_radius_wide_at_half_maximum(radius, sharpness):
    cover, _ = dot_coverage(round_dot(radius, sharpness=sharpness), raster())
    assert width_mm(cover[0, 1, 120]) == pytest.approx(2 * radius, abs=0.11)
    assert cover[0, 1].max() == pytest.approx(1, abs=1e-3)


def test_irregular_microbleeds_keep_their_width_on_average():
    radius = torch.full((40,), 1.5)
    dots = draw_dots(Draws(1), torch.zeros(40, 3), radius)
    grid = raster(z_mm=(0.0,))
    shared = Raster(grid.rows_mm, grid.columns_mm, grid.z_mm.expand(40, 1), grid.thickness_mm.expand(40, 1), 0)
    cover, _ = dot_coverage(dots, shared)
    area = (cover[:, 0] >= 0.5).sum((1, 2)) * 0.05**2
    assert torch.median(2 * (area / math.pi).sqrt()) == pytest.approx(3.0, rel=0.05)


def test_a_small_microbleed_in_the_middle_of_a_thick_slice_is_in_no_other():
    cover, _ = dot_coverage(round_dot(1.0), raster())
    assert cover[0, 0].max() == cover[0, 2].max() == 0


def test_what_reaches_into_the_next_slice_fills_its_share_of_it():
    cover, _ = dot_coverage(round_dot(1.0, z=1.5, height=1.0), raster())  # from 0.5 to 2.5; the slices meet at 2
    assert cover[0, 2].max() == pytest.approx(0.5 / 1.5, rel=0.05)


def test_a_line_is_as_long_as_the_slice_and_as_wide_as_asked():
    one = torch.ones(1)
    vessel = Vessels(torch.zeros(1, 3), 0.6 * one, 0 * one, 0 * one, 0 * one, torch.tensor([False]), 0 * one)
    cover = vessel_coverage(vessel, raster(z_mm=(0.0,), thickness_mm=1.0))[0, 0]
    assert width_mm(cover[:, 120]) == pytest.approx(241 * 0.05)
    assert width_mm(cover[120]) == pytest.approx(1.2, abs=0.11)


def test_a_vessel_through_the_slices_is_a_dot_that_drifts():
    one = torch.ones(1)
    vessel = Vessels(torch.zeros(1, 3), 0.6 * one, 0 * one, 0 * one, 0.5 * one, torch.tensor([True]), 0 * one)
    cover = vessel_coverage(vessel, raster())
    rows = [int(cover[0, k].amax(1).argmax()) for k in range(3)]
    assert rows == [120 - 40, 120, 120 + 40]  # 0.5 mm a mm: 2 mm a slice, 40 samples


@pytest.mark.parametrize("draw", [draw_vessels])
def test_no_shape_takes_more_than_all_of_a_voxel(draw):
    grid = raster()
    many = Raster(grid.rows_mm[::8], grid.columns_mm[::8], grid.z_mm.expand(30, 3), grid.thickness_mm.expand(30, 3), 1)
    draws = Draws(0)
    shapes = [vessel_coverage(draw(draws, torch.zeros(30, 3)), many)]
    shapes.append(soft_coverage(draws, torch.zeros(30, 3), torch.full((30,), 2.0), many))
    shapes.append(dot_coverage(draw_dots(draws, torch.zeros(30, 3), torch.full((30,), 2.0)), many)[0])
    assert all(shape.min() >= 0 and shape.max() <= 1 + 1e-6 for shape in shapes)


def batch(kinds, thin=False, seed=0):
    n = len(kinds)
    tissue = 1 + 0.03 * torch.randn(n, 5, 64, 64, generator=torch.Generator().manual_seed(seed))
    thickness = torch.full((n,), 1.0 if thin else 4.0)
    return plant_patches(tissue, thickness, torch.full((n,), thin), torch.tensor(kinds), Draws(seed))


@pytest.mark.parametrize("thin", [False, True])
def test_planted_microbleeds_are_dark_in_the_middle_and_others_are_not(thin):
    planted = batch([Kind.MICROBLEED] * 60 + [Kind.NOTHING] * 60, thin)
    depth, noise = visibility(planted.patches[:, 2], torch.zeros(120, 2), torch.ones(120))
    positive = (planted.label == 1) & (planted.weight == 1)
    assert positive[:60].float().mean() > 0.7
    assert not planted.label[60:].any()
    assert depth[positive].median() > 0.4
    assert noise[positive].median() > 3
    assert depth[60:].median().abs() < 0.15


def test_mimics_are_negatives():
    planted = batch([Kind.VESSEL] * 20 + [Kind.NUCLEUS] * 20 + [Kind.FLOW_VOID] * 20)
    assert not planted.label.any()
    assert planted.weight[:40].all()
    assert not planted.weight[40:].any()  # a void in tissue, not in fluid, is a microbleed to every reader


def test_same_seed_gives_the_same_patches_and_another_seed_others():
    kinds = [Kind.MICROBLEED] * 8
    assert torch.equal(batch(kinds).patches, batch(kinds).patches)
    assert not torch.equal(batch(kinds).patches, batch(kinds, seed=1).patches)


def test_slices_of_thin_scans_are_means_over_three_millimetres():
    z_mm, thickness = slices_mm(torch.tensor([1.0, 4.0]), torch.tensor([True, False]))
    assert z_mm.tolist() == [[-6, -3, 0, 3, 6], [-8, -4, 0, 4, 8]]
    assert thickness.tolist() == [[3, 3, 1, 3, 3], [4] * 5]


def test_a_core_plants_hundreds_of_patches_a_second():
    kinds = ([Kind.MICROBLEED] * 4 + [Kind.NOTHING] * 4 + [Kind.VESSEL, Kind.NUCLEUS]) * 10
    batch(kinds)
    times = []
    for _ in range(3):
        start = time.thread_time()
        batch(kinds)
        times.append(time.thread_time() - start)
    assert len(kinds) / min(times) > 100  # 1000 on a core that has nothing else to do


def test_a_dipole_is_positive_at_its_poles_and_negative_at_its_equator():
    points = torch.tensor([[0.0, 0, 2], [2.0, 0, 0], [0, 2.0, 0], [0, 0, 4.0], [0, 0, 0]])
    phase = dipole_phase(
        points, torch.zeros(3), radius_mm=2 - 1e-4, radians=1.0, b0_direction=torch.tensor([0, 0, 1.0])
    )
    torch.testing.assert_close(phase, torch.tensor([1, -0.5, -0.5, 0.125, 0]), atol=1e-3, rtol=0)


def test_phase_stays_between_minus_pi_and_pi():
    assert wrapped(torch.tensor([3.5, -3.5, 1.0])).tolist() == pytest.approx([3.5 - 2 * math.pi, 2 * math.pi - 3.5, 1])


def test_truth_lies_at_the_darkest_voxel():
    image, mask, affine = ball()
    scan = plant_scan(image, mask, affine, lesions=6, seed=2, radius_mm=(1.2, 2.0), depth=(0.8, 0.9))
    inverse = torch.linalg.inv(affine)
    assert len(scan.lesions) == 6
    for number, row in enumerate(scan.lesions, start=1):
        centre = (inverse @ torch.tensor([row["x_mm"], row["y_mm"], row["z_mm"], 1.0]).double())[:3]
        i, j, k = (int(v) for v in centre.round())
        part = scan.image[i - 2 : i + 3, j - 2 : j + 3, k]
        assert part[1:4, 1:4].min() < 50
        assert (scan.label[i - 1 : i + 2, j - 1 : j + 2, k] > 0).any()
        assert (scan.label == number).any()
        assert 0.55 < row["depth"] < 0.95
        assert row["cnr"] > 10


@pytest.mark.parametrize("depth", [0.4, 0.8])
def test_depth_and_size_are_as_asked(depth):
    image, mask, affine = ball(spacing=(0.5, 0.5, 3.0), shape=(96, 96, 12), noise=0)
    scan = plant_scan(image, mask, affine, lesions=1, seed=4, radius_mm=(1.5, 1.5), depth=(depth, depth))
    taken = (1 - scan.image / image.clamp(min=1)) * mask
    assert taken.max() == pytest.approx(depth, abs=0.06)
    area = float((scan.label == 1).sum((0, 1)).max()) * 0.25
    assert 2 * math.sqrt(area / math.pi) == pytest.approx(3.0, rel=0.25)


def test_the_axis_of_the_slices_may_be_any():
    image, mask, affine = ball()
    turned = affine.clone()
    turned[:, :3] = affine[:, [2, 0, 1]]
    plain = plant_scan(image, mask, affine, lesions=3, mimics=2, seed=5)
    other = plant_scan(image.permute(2, 0, 1), mask.permute(2, 0, 1), turned, lesions=3, mimics=2, seed=5)
    torch.testing.assert_close(other.image, plain.image.permute(2, 0, 1))
    assert other.lesions == plain.lesions


def test_iron_and_calcium_turn_the_phase_in_opposite_ways():
    image, mask, affine = ball(spacing=(1.0, 1.0, 1.0), shape=(48, 48, 48))
    iron = plant_scan(image, mask, affine, lesions=1, seed=1, radius_mm=(2, 2), phase=torch.zeros_like(image))
    i, j, k = (iron.label == 1).nonzero().float().mean(0).round().long().tolist()
    assert iron.phase[i, j, k + 3] > 0.05
    assert iron.phase[i + 3, j, k] < -0.02
    calcium = plant_scan(image, mask, affine, lesions=0, mimics=40, seed=1, phase=torch.zeros_like(image))
    stone = (calcium.mimics == MIMIC_CODES["calcification"]).nonzero()
    assert len(stone)
    assert calcium.phase.min() < -0.3


def test_a_scan_without_phase_has_no_calcification():
    image, mask, affine = ball()
    scan = plant_scan(image, mask, affine, lesions=0, mimics=20, seed=1)
    assert not scan.label.any()
    assert scan.mimics.any()
    assert MIMIC_CODES["calcification"] not in scan.mimics.unique().tolist()
    assert scan.phase is None


def test_places_are_drawn_by_the_shares_of_real_patients():
    places = (
        torch.arange(1, len(LOCATIONS) + 1, dtype=torch.uint8).repeat_interleave(100)[:, None, None].expand(-1, 60, 60)
    )
    usable = torch.ones(places.shape, dtype=torch.bool)
    found = draw_sites(places, usable, (1.0, 1.0, 1.0), 600, np.random.default_rng(0), clustered=0)
    total = sum(LOCATIONS.values())
    for name, share in LOCATIONS.items():
        here = sum(location == name for _, location in found) / len(found)
        assert here == pytest.approx(share / total, abs=0.05)


def test_microbleeds_lie_apart_and_clusters_close():
    places = torch.ones(60, 60, 60, dtype=torch.uint8)
    usable = torch.ones(places.shape, dtype=torch.bool)
    apart = [v for v, _ in draw_sites(places, usable, (1, 1, 1), 20, np.random.default_rng(0), clustered=0)]
    close = [v for v, _ in draw_sites(places, usable, (1, 1, 1), 20, np.random.default_rng(0), clustered=1)]
    steps = [np.linalg.norm(a - b) for a, b in pairwise(close)]
    assert min(np.linalg.norm(a - b) for k, a in enumerate(apart) for b in apart[:k]) >= 6
    assert 3.5 < np.median(steps) < 9


def test_nothing_is_planted_at_the_edge_or_in_fluid():
    image, mask, _ = ball()
    image[30:40, 30:40] = 300  # fluid
    usable = usable_voxels(image, mask, (0.9, 0.9, 4.0))
    assert not usable[34, 34].any()
    assert not (usable & ~mask).any()
    assert usable.any()


@pytest.mark.parametrize(("voxel_mm", "shallowest", "deepest"), [(0.45, 0.8, 1.01), (2.4, 0.0, 0.45)])
def test_a_lesion_smaller_than_a_voxel_is_as_faint_as_its_share_of_it(voxel_mm, shallowest, deepest):
    side = round(54 / voxel_mm)
    image, mask, affine = ball((side, side, 12), (voxel_mm, voxel_mm, 4.0))
    scan = plant_scan(image, mask, affine, lesions=4, mimics=0, seed=2, radius_mm=(0.6, 0.6), depth=(1, 1))
    depths = sorted(lesion["depth"] for lesion in scan.lesions)
    assert len(depths) == 4
    assert shallowest <= depths[1] <= depths[2] <= deepest  # one may lie at the edge of the brain
