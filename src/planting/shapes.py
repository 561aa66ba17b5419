"""Shapes that are drawn into scans: how much of each voxel a microbleed, a vessel or a dark nucleus takes.

All shapes are drawn into N stacks of slices at once. A profile is a super-Gaussian, ``exp(-ln 2 * (r / R)^(2 s))``: at
the radius R it is one half whatever its sharpness s, so the full width at half maximum is 2 R. Slices may be thicker
than the shape: its share of their thickness is what remains (partial volume).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .draws import Draws

LN2 = math.log(2)
LOWEST = -16.0  # exponents below it would give denormal numbers, which are slow


@dataclass(frozen=True)
class Raster:
    """Where the voxels of N stacks of C slices lie, in mm about the origin of each stack.

    Args:
        rows_mm, columns_mm: (H,) and (W,).
        z_mm: middle of each slice, (N, C).
        thickness_mm: of each slice, (N, C).
        middle: the slice in which a shape has its full depth.
    """

    rows_mm: torch.Tensor
    columns_mm: torch.Tensor
    z_mm: torch.Tensor
    thickness_mm: torch.Tensor
    middle: int

    def of(self, chosen: torch.Tensor) -> Raster:
        """Return the raster of some of the stacks."""
        return Raster(self.rows_mm, self.columns_mm, self.z_mm[chosen], self.thickness_mm[chosen], self.middle)


@dataclass(frozen=True)
class Dots:
    """N microbleeds: irregular ellipsoids.

    Args:
        centre_mm: row, column and z, (N, 3).
        radius_mm: half width at half maximum in the middle slice, (N,): the geometric mean of long and short axis.
        height_mm: half height through plane, (N,).
        sharpness: 1 is a Gaussian, 4 nearly a disc, (N,).
        stretch: long over short axis, (N,).
        angle: of the axes, in radians, (N,).
        waves: amplitude and phase of two- and threefold bulges of the outline, (N, 4).
    """

    centre_mm: torch.Tensor
    radius_mm: torch.Tensor
    height_mm: torch.Tensor
    sharpness: torch.Tensor
    stretch: torch.Tensor
    angle: torch.Tensor
    waves: torch.Tensor


def draw_dots(draws: Draws, centre_mm: torch.Tensor, radius_mm: torch.Tensor) -> Dots:
    """Draw the shapes of microbleeds whose places (N, 3) and radii (N,) are given."""
    n = len(radius_mm)
    bulge, turn = draws.uniform(2 * n, 0, 0.15).view(n, 2), draws.uniform(2 * n, 0, 2 * math.pi).view(n, 2)
    return Dots(
        centre_mm,
        radius_mm,
        radius_mm * draws.uniform(n, 0.8, 1.4),
        draws.log_uniform(n, 1, 4),
        1 + 0.35 * draws.uniform(n) ** 2,
        draws.uniform(n, 0, math.pi),
        torch.stack([bulge[:, 0], turn[:, 0], bulge[:, 1], turn[:, 1]], dim=1),
    )


def dot_coverage(dots: Dots, raster: Raster) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much of each voxel microbleeds take, (N, C, H, W), at most 1 in the middle slice, and the distance.

    The distance, (N, H, W), is in radii from the middle of each, 1 on its outline at half maximum.
    """
    rows, columns = _offsets(dots.centre_mm, raster)
    angle, root = _image(dots.angle), _image(dots.stretch.sqrt())
    along = (rows * angle.cos() + columns * angle.sin()) / root
    across = (columns * angle.cos() - rows * angle.sin()) * root
    square = along.square() + across.square()
    cosine, sine = along / (square + 1e-6).sqrt(), across / (square + 1e-6).sqrt()
    a2, p2, a3, p3 = (_image(wave) for wave in dots.waves.T)
    double, double_sine = 2 * cosine.square() - 1, 2 * sine * cosine
    outline = 1 + a2 * (double * p2.cos() - double_sine * p2.sin())
    triple, triple_sine = cosine * double - sine * double_sine, sine * double + cosine * double_sine
    outline = outline + a3 * (triple * p3.cos() - triple_sine * p3.sin())
    distance = square.sqrt() / (_image(dots.radius_mm) * outline)
    share, shrink = _through_plane(dots.centre_mm[:, 2], dots.height_mm, raster)
    stack, level = (share > 0).nonzero(as_tuple=True)  # most slices are not touched
    power = 2 * dots.sharpness
    steep = -LN2 * shrink[stack, level].pow(-power[stack])
    exponent = distance.clamp(min=1e-3).pow(_image(power))[stack] * _image(steep)
    cover = share.new_zeros(*share.shape, *distance.shape[1:])
    cover[stack, level] = exponent.clamp(min=LOWEST).exp() * _image(share[stack, level])
    return cover, distance


def _through_plane(z_mm: torch.Tensor, height_mm: torch.Tensor, raster: Raster) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the share of each slice that an ellipsoid fills on its axis, over that of the middle slice, at most 1.

    The second result is how much narrower it is there than in the middle slice. Both are (N, C).
    """
    height = height_mm[:, None]
    middle, half = raster.z_mm - z_mm[:, None], raster.thickness_mm / 2
    low, high = torch.maximum(middle - half, -height), torch.minimum(middle + half, height)
    share = ((high - low) / raster.thickness_mm).clamp(min=0)
    width = (1 - ((low + high) / 2 / height).square()).clamp(min=0.04).sqrt()
    inside = raster.middle
    return (share / share[:, inside : inside + 1].clamp(min=0.05)).clamp(max=1), width / width[:, inside : inside + 1]


@dataclass(frozen=True)
class Vessels:
    """N vessels, bent lines in their slice, or dots that drift from slice to slice.

    Args:
        centre_mm: row, column and z of a point on it, (N, 3).
        radius_mm: (N,).
        angle: direction in the slice, in radians, (N,).
        bend: curvature in 1/mm, (N,).
        slope: mm of rise for each mm in plane of a line; mm of drift for each mm of rise of a dot, (N,).
        across: true for dots, which pass through the slices, (N,).
        ends: 1 where the vessel ends at its centre, 0 where it goes on, (N,).
    """

    centre_mm: torch.Tensor
    radius_mm: torch.Tensor
    angle: torch.Tensor
    bend: torch.Tensor
    slope: torch.Tensor
    across: torch.Tensor
    ends: torch.Tensor


def draw_vessels(draws: Draws, centre_mm: torch.Tensor) -> Vessels:
    """Draw vessels through points (N, 3)."""
    n = len(centre_mm)
    across = draws.chance(n, 0.2)
    slope = torch.where(across, draws.log_uniform(n, 0.05, 1.2), draws.uniform(n, -0.6, 0.6))
    ends = draws.chance(n, torch.where(across, 0.2, 0.35))
    radius = draws.log_uniform(n, 0.35, 1.6)
    radius = torch.where(across, radius.clamp(max=1.1), radius)
    return Vessels(
        centre_mm, radius, draws.uniform(n, 0, 2 * math.pi), 0.03 * draws.normal(n), slope, across, ends.float()
    )


def vessel_coverage(vessels: Vessels, raster: Raster) -> torch.Tensor:
    """Return how much of each voxel vessels take, (N, C, H, W), at most 1."""
    cover = raster.z_mm.new_zeros(*raster.z_mm.shape, len(raster.rows_mm), len(raster.columns_mm))
    for chosen, shape in ((vessels.across, _dot_vessel), (~vessels.across, _line_vessel)):
        index = chosen.nonzero()[:, 0]
        if len(index):
            parts = Vessels(*(getattr(vessels, name)[index] for name in Vessels.__dataclass_fields__))
            cover[index] = shape(parts, raster.of(index))
    return cover


def _line_vessel(vessels: Vessels, raster: Raster) -> torch.Tensor:
    """Return the cover of vessels that run in the slice or rise slowly, (N, C, H, W)."""
    rows, columns = _offsets(vessels.centre_mm, raster)
    angle, radius = _image(vessels.angle), _image(vessels.radius_mm)
    along = rows * angle.cos() + columns * angle.sin()
    across = columns * angle.cos() - rows * angle.sin() - _image(vessels.bend) * along.square()
    profile = torch.exp((-LN2 * (across / radius).square().square()).clamp(min=LOWEST))
    profile = profile * (1 - _image(vessels.ends) * torch.sigmoid(-(along + radius) / 0.2))
    rise = raster.z_mm - vessels.centre_mm[:, 2:]  # (N, C)
    away = (rise[..., None, None] - (_image(vessels.slope) * along)[:, None]).abs()
    half = raster.thickness_mm[..., None, None] / 2
    wide = radius[:, None]
    share = ((half + wide - away) / (2 * torch.minimum(half, wide))).clamp(0, 1)
    return profile[:, None] * share


def _dot_vessel(vessels: Vessels, raster: Raster) -> torch.Tensor:
    """Return the cover of vessels that pass through the slices, (N, C, H, W): a dot in each, drifting."""
    rows, columns = _offsets(vessels.centre_mm, raster)
    rise = raster.z_mm - vessels.centre_mm[:, 2:]
    drift = (rise * vessels.slope[:, None])[..., None, None]
    angle = vessels.angle.view(-1, 1, 1, 1)
    square = (rows[:, None] - drift * angle.cos()).square() + (columns[:, None] - drift * angle.sin()).square()
    steep = -LN2 * (square / vessels.radius_mm.view(-1, 1, 1, 1) ** 2).square()
    cover = steep.clamp(min=LOWEST).exp()
    side = torch.where(vessels.bend > 0, 1.0, -1.0)[:, None]
    gone = (vessels.ends[:, None] > 0) & (rise * side > 0.3)
    return cover * (~gone).float()[..., None, None]


def soft_coverage(draws: Draws, centre_mm: torch.Tensor, sigma_mm: torch.Tensor, raster: Raster) -> torch.Tensor:
    """Return soft ellipses, (N, C, H, W), of other strength in each slice: dark nuclei and other shades."""
    n, slices = raster.z_mm.shape
    rows, columns = _offsets(centre_mm, raster)
    angle, flat = _image(draws.uniform(n, 0, math.pi)), _image(draws.log_uniform(n, 0.35, 1))
    along, across = rows * angle.cos() + columns * angle.sin(), (columns * angle.cos() - rows * angle.sin()) / flat
    square = (along.square() + across.square()) / _image(sigma_mm).square()
    shade = (-0.5 * square.pow(_image(draws.uniform(n, 1, 2)))).clamp(min=LOWEST).exp()
    return shade[:, None] * draws.uniform(n * slices, 0.4, 1).view(n, slices, 1, 1)


def _offsets(centre_mm: torch.Tensor, raster: Raster) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how far rows, (N, H, 1), and columns, (N, 1, W), lie from centres."""
    return raster.rows_mm[None, :, None] - _image(centre_mm[:, 0]), raster.columns_mm - _image(centre_mm[:, 1])


def _image(values: torch.Tensor) -> torch.Tensor:
    """Return values (N,) as (N, 1, 1)."""
    return values.view(-1, 1, 1)
