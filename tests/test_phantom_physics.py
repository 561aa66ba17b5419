import numpy as np
import pytest
import torch

from csvd.phantom.anatomy import random_warp, sample_template, tissue_template
from csvd.phantom.physics import (
    dipole_field,
    homodyne_phase,
    steady_state,
    susceptibility_weighted,
    truncated_division,
    zero_filled,
)
from csvd.phantom.protocols import PROTOCOLS

SIZE, RADIUS = 96, 8.0


def offsets():
    """Offset in mm of every voxel from the middle of a cube, (X, Y, Z, 3)."""
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)


def sphere():
    """A soft sphere of 1 ppm and 8 voxels radius."""
    return (RADIUS - offsets().norm(dim=-1) + 0.5).clamp(0, 1)


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (0.0, 0.6, 0.8)])
def test_field_outside_a_sphere_is_that_of_a_dipole(direction):
    up = torch.tensor(direction)
    field = dipole_field(sphere(), torch.ones(3), up)
    distance = offsets().norm(dim=-1)
    cosine = offsets() @ up / distance
    expected = (RADIUS / distance) ** 3 / 3 * (3 * cosine**2 - 1)
    near = (distance > RADIUS + 2) & (distance < 3 * RADIUS)
    # 0.7 ppm at the pole; the rest is the staircase of the voxels and the copies beyond the borders.
    torch.testing.assert_close(field[near], expected[near], atol=0.015, rtol=0)


def test_field_inside_a_sphere_is_zero():
    field = dipole_field(sphere(), torch.ones(3), torch.tensor([0.0, 0.0, 1.0]))
    assert float(field[offsets().norm(dim=-1) < RADIUS - 2].abs().max()) < 0.01


def test_field_does_not_depend_on_the_shape_of_voxels():
    up = torch.tensor([0.0, 0.0, 1.0])
    fine = dipole_field(sphere(), torch.ones(3), up)
    thick = sphere().reshape(SIZE, SIZE, SIZE // 2, 2).mean(-1)
    coarse = dipole_field(thick, torch.tensor([1.0, 1.0, 2.0]), up)
    averaged = fine.reshape(SIZE, SIZE, SIZE // 2, 2).mean(-1)
    outside = thick == 0
    torch.testing.assert_close(coarse[outside], averaged[outside], atol=0.03, rtol=0)


def test_division_returns_most_of_the_susceptibility():
    up = torch.tensor([0.0, 0.0, 1.0])
    chi = truncated_division(dipole_field(sphere(), torch.ones(3), up), torch.ones(3), up)
    assert 0.6 < float(chi[sphere() == 1].median()) < 1.1
    assert float(chi[sphere() == 0].abs().median()) < 0.05


def test_homodyne_filter_removes_slow_phase_and_keeps_a_vein():
    x = torch.linspace(-1, 1, 128)[:, None, None]
    vein = torch.zeros(128, 128, 1)
    vein[64, 32:96] = 1.0
    phase = homodyne_phase(torch.polar(torch.ones_like(vein), 2 * x + vein), torch.tensor([0.8, 0.8, 3.0]), 0.16)
    assert float(phase[64, 40:88].mean()) > 0.5
    assert float(phase[30:50, 40:88].abs().max()) < 0.1


def test_phase_mask_darkens_positive_phase_only():
    phase = torch.tensor([-1.0, 0.0, torch.pi / 2, torch.pi])
    weighted = susceptibility_weighted(torch.ones(4), phase, power=4)
    torch.testing.assert_close(weighted, torch.tensor([1.0, 1.0, 1 / 16, 0.0]))


def test_zero_filling_blurs_an_edge_and_keeps_the_mean():
    edge = torch.zeros(64, 64, 2, dtype=torch.complex64)
    edge[32:] = 1
    blurred = zero_filled(edge, 0.5)
    torch.testing.assert_close(blurred.mean(), edge.mean())
    assert float(blurred.abs().diff(dim=0).max()) < 0.9
    assert zero_filled(edge, 1.0) is edge


def test_fluid_is_dark_on_swi_and_bright_on_a_long_repetition():
    grey, white, fluid = steady_state(PROTOCOLS["ukbb"], np.ones((3, 3)))
    assert fluid < min(grey, white)
    grey, white, fluid = steady_state(PROTOCOLS["oxvasc"], np.ones((3, 3)))
    assert fluid > grey > white


def test_warp_and_its_inverse_agree():
    warp = random_warp(np.random.default_rng(0), pose_deg=10, age=80)
    points = torch.from_numpy(np.random.default_rng(1).uniform((-60, -95, -50), (60, 65, 75), (500, 3))).float()
    torch.testing.assert_close(warp.to_mni(warp.to_world(points)), points, atol=0.05, rtol=0)


def test_sampling_without_a_warp_returns_the_template():
    warp = random_warp(np.random.default_rng(0), pose_deg=0, age=50)
    warp.matrix, warp.displacement = torch.eye(3), torch.zeros_like(warp.displacement)
    affine = torch.eye(4)
    affine[:3, 3] = torch.tensor([-98.0, -134.0, -72.0]) - torch.tensor([0.0, -18.0, 8.0])
    volumes = tissue_template()[:1]
    torch.testing.assert_close(sample_template(volumes, warp, affine, volumes.shape[1:]), volumes, atol=0.01, rtol=0)
