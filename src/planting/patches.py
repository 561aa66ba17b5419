"""Microbleeds and mimics planted into patches of real or simulated scans, for training: none is seen twice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch

from .augmentation import DRAWN, PIXEL_MM, degrade, recolour, shade, strip, turn
from .draws import Draws
from .shapes import LOWEST, Dots, Raster, dot_coverage, draw_dots, draw_vessels, soft_coverage, vessel_coverage

PATCH = 48
SLICES = 5
MIDDLE = 2
RADIUS_MM = (0.55, 4.5)
VISIBLE = (0.26, 1.8)
"""Depth over background, and over its local spread, from which a planted microbleed counts as one."""
FAINT = (0.19, 1.0)
"""The same below which it counts as none; what lies between is not learned from."""


class Kind(IntEnum):
    """What is planted into a patch: nothing, a microbleed, or a mimic, which is a negative."""

    NOTHING = 0
    MICROBLEED = 1
    VESSEL = 2
    FLOW_VOID = 3
    NUCLEUS = 4


@dataclass(frozen=True)
class Planted:
    """Patches to learn from.

    Args:
        patches: (N, 5, 48, 48); the middle is voxel 24 of slice 2.
        label: 1 for a microbleed, 0 for none, (N,).
        weight: 0 where neither is sure, else 1, (N,).
    """

    patches: torch.Tensor
    label: torch.Tensor
    weight: torch.Tensor


def slices_mm(thickness_mm: torch.Tensor, thin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return z and thickness, (N, 5) mm, of the slices that :func:`csvd.transforms.context_slices` gives.

    Args:
        thickness_mm: of the scan's slices, (N,).
        thin: where the outer four are means over 3 mm, (N,).
    """
    step = torch.arange(SLICES) - MIDDLE
    near = torch.where(thin[:, None], torch.tensor(3.0), thickness_mm[:, None]).repeat(1, SLICES)
    near[:, MIDDLE] = thickness_mm
    apart = torch.where(thin, torch.tensor(3.0), thickness_mm)
    return step * apart[:, None], near


def plant_patches(
    backgrounds: torch.Tensor, thickness_mm: torch.Tensor, thin: torch.Tensor, kinds: torch.Tensor, draws: Draws
) -> Planted:
    """Draw microbleeds and mimics into the middle of backgrounds, and change how these look.

    Args:
        backgrounds: (N, 5, 64, 64) float32 at 0.45 mm, brain median near 1.
        thickness_mm: of the scan's slices, (N,).
        thin: whether the outer four slices are means over 3 mm, (N,).
        kinds: of :class:`Kind`, (N,).
        draws: random numbers.
    """
    n = len(backgrounds)
    axis = (torch.arange(DRAWN) - DRAWN // 2) * PIXEL_MM
    raster = Raster(axis, axis, *slices_mm(thickness_mm, thin), MIDDLE)
    spread = torch.where(thin, 0.35, 1.0)[:, None] * draws.uniform(n * SLICES, -0.12, 0.12).view(n, SLICES)
    image = shade(recolour(turn(backgrounds, draws), draws), draws, 1 + spread)
    tissue = _around(image[:, MIDDLE], axis)
    centre_mm, radius_mm = _place(kinds, raster, draws)
    cover, rim = _draw_all(kinds, centre_mm, radius_mm, raster, draws)
    floor = draws.uniform(n, 0, 0.04).view(-1, 1, 1, 1)
    image = image * (1 - cover) * (1 + rim) + floor * cover
    image = strip(image, draws, 0.5 * radius_mm)
    share = torch.where(thin[:, None], (raster.thickness_mm[:, MIDDLE, None] / raster.thickness_mm).sqrt(), 1.0)
    first = (DRAWN - PATCH) // 2
    patches = degrade(image, draws, share.clamp(max=1))[..., first : first + PATCH, first : first + PATCH].contiguous()
    label, weight = _targets(patches[:, MIDDLE], kinds, centre_mm, radius_mm, *tissue)
    return Planted(_lose_slices(patches, draws), label, weight)


def _place(kinds: torch.Tensor, raster: Raster, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the centre (N, 3) and radius (N,) of what is planted; half of the microbleeds are small."""
    n = len(kinds)
    wide, narrow = draws.log_uniform(n, *RADIUS_MM), draws.log_uniform(n, RADIUS_MM[0], 1.9)
    radius = torch.where(draws.chance(n, 0.55), narrow, wide)
    radius = torch.where(kinds == Kind.FLOW_VOID, draws.log_uniform(n, 0.5, 3), radius)
    off_plane = draws.uniform(n, -0.5, 0.5) * torch.maximum(raster.thickness_mm[:, MIDDLE], 0.8 * radius)
    return torch.cat([0.35 * draws.normal(n, 2), off_plane[:, None]], dim=1), radius


def _draw_all(
    kinds: torch.Tensor, centre_mm: torch.Tensor, radius_mm: torch.Tensor, raster: Raster, draws: Draws
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the share of signal that is taken away, and that a bright rim adds, (N, 5, H, W) both."""
    n = len(kinds)
    cover = torch.zeros(n, SLICES, DRAWN, DRAWN)
    rim = torch.zeros_like(cover)
    dot = ((kinds == Kind.MICROBLEED) | (kinds == Kind.FLOW_VOID)).nonzero()[:, 0]
    if len(dot):
        dark = draws.chance(len(dot), 0.75) & (kinds[dot] == Kind.MICROBLEED)
        depth = torch.where(dark, draws.uniform(len(dot), 0.6, 1), draws.uniform(len(dot), 0.3, 1))
        shapes = draw_dots(draws, centre_mm[dot], radius_mm[dot])
        cover[dot], rim[dot] = _draw_dots(shapes, depth, raster.of(dot), draws, hollow=0.12, rims=0.45)
    vessel = (kinds == Kind.VESSEL).nonzero()[:, 0]
    vessel = torch.cat([vessel, (draws.chance(n, 0.08) & (kinds == Kind.MICROBLEED)).nonzero()[:, 0]])
    if len(vessel):
        beside = (kinds[vessel] == Kind.MICROBLEED)[:, None] * draws.normal(len(vessel), 3).sign() * 4
        beside = beside * (1 + draws.uniform(3 * len(vessel)).view(-1, 3)) * torch.tensor([1.0, 1.0, 0.0])
        cut = draws.uniform(len(vessel), 0.25, 1).view(-1, 1, 1, 1)
        drawn = vessel_coverage(draw_vessels(draws, centre_mm[vessel] + beside), raster.of(vessel)) * cut
        cover[vessel] = torch.maximum(cover[vessel], drawn)
    nucleus = (kinds == Kind.NUCLEUS).nonzero()[:, 0]
    if len(nucleus):
        soft = soft_coverage(draws, centre_mm[nucleus], draws.log_uniform(len(nucleus), 1.2, 4), raster.of(nucleus))
        cover[nucleus] = soft * draws.uniform(len(nucleus), 0.1, 0.6).view(-1, 1, 1, 1)
    return _add_neighbours(cover, kinds, centre_mm, radius_mm, raster, draws), rim


def _draw_dots(
    dots: Dots, depth: torch.Tensor, raster: Raster, draws: Draws, hollow: float, rims: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cover of microbleeds, some with a lighter core, and their bright rims, (N, 5, H, W) both."""
    n = len(depth)
    cover, distance = dot_coverage(dots, raster)
    core = torch.where(draws.chance(n, hollow) & (dots.radius_mm > 0.9), draws.uniform(n, 0.3, 1.1), torch.zeros(n))
    cover = cover * (1 - core.view(-1, 1, 1) * (-(distance / 0.45).square()).clamp(min=LOWEST).exp())[:, None]
    strength = (
        torch.where(draws.chance(n, rims), draws.uniform(n, -0.1, 0.4), torch.zeros(n)) if rims else torch.zeros(n)
    )
    beyond = (distance - 1) * dots.radius_mm.view(-1, 1, 1) - draws.uniform(n, 0.3, 0.9).view(-1, 1, 1)
    ring = strength.view(-1, 1, 1) * (-(beyond / 0.4).square()).clamp(min=LOWEST).exp()
    rim = ring[:, None] * cover.amax((2, 3), keepdim=True)
    return cover * depth.view(-1, 1, 1, 1), rim


def _add_neighbours(
    cover: torch.Tensor,
    kinds: torch.Tensor,
    centre_mm: torch.Tensor,
    radius_mm: torch.Tensor,
    raster: Raster,
    draws: Draws,
) -> torch.Tensor:
    """Add a second microbleed to a quarter of all patches, and up to four more to some: clusters."""
    n = len(kinds)
    dotted = (kinds == Kind.MICROBLEED) | (kinds == Kind.FLOW_VOID)
    cluster = draws.chance(n, torch.where(dotted, 0.28, 0.05))
    hosts = [draws.chance(n, 0.25), *(cluster & draws.chance(n, 0.8) for _ in range(4))]
    for host in (some.nonzero()[:, 0] for some in hosts):
        k = len(host)
        if not k:
            continue
        radius, true = draws.log_uniform(k, 0.55, 2), kinds[host] == Kind.MICROBLEED
        near = 1.2 * radius_mm[host] + 0.9 * radius + draws.uniform(k, 0.2, 1.5)
        far = draws.uniform(k, 2.5, 9) + radius_mm[host] * true
        away = torch.where(true & draws.chance(k, 0.4), near, far)
        angle = draws.uniform(k, 0, 6.283)
        shift = torch.stack([away * angle.sin(), away * angle.cos(), draws.uniform(k, -1, 1)], dim=1)
        dots = draw_dots(draws, centre_mm[host] + shift, radius)
        drawn, _ = _draw_dots(dots, draws.uniform(k, 0.4, 1), raster.of(host), draws, hollow=0.25, rims=0)
        cover[host] = torch.maximum(cover[host], drawn)
    return cover


def _around(middle: torch.Tensor, axis_mm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean within 4 and 2 mm of the centre of (N, H, W), (N,) each."""
    distance = (axis_mm[:, None].square() + axis_mm.square()).sqrt()
    wide, near = (distance < 4).float(), (distance < 2).float()
    return (middle * wide).sum((1, 2)) / wide.sum(), (middle * near).sum((1, 2)) / near.sum()


def _targets(
    middle: torch.Tensor,
    kinds: torch.Tensor,
    centre_mm: torch.Tensor,
    radius_mm: torch.Tensor,
    wide: torch.Tensor,
    near: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return label and weight, (N,) each, by what can still be seen in the middle slice (N, 48, 48)."""
    depth, noise = visibility(middle, centre_mm[:, :2], radius_mm)
    visible = (depth > VISIBLE[0]) & (noise > VISIBLE[1])
    faint = (depth < FAINT[0]) | (noise < FAINT[1])
    tissue, fluid = (wide > 0.3) & (wide < 1.6) & (near < 1.35), near > 1.4
    true, void = kinds == Kind.MICROBLEED, kinds == Kind.FLOW_VOID
    weight = torch.where(true, ((visible | faint) & tissue).float(), torch.ones(len(kinds)))
    weight = torch.where(void, (fluid & visible).float(), weight)
    return (true & ~faint).float(), weight


def visibility(
    middle: torch.Tensor, centre_mm: torch.Tensor, radius_mm: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return by which share dots are darker than the ring around them, and that depth over the spread of the ring.

    Args:
        middle: (N, H, W) at 0.45 mm, the origin at voxel H // 2.
        centre_mm: row and column, (N, 2).
        radius_mm: (N,).
    """
    axis = (torch.arange(middle.shape[-1]) - middle.shape[-1] // 2) * PIXEL_MM
    rows, columns = axis[:, None] - centre_mm[:, 0].view(-1, 1, 1), axis - centre_mm[:, 1].view(-1, 1, 1)
    distance, radius = (rows.square() + columns.square()).sqrt(), radius_mm.view(-1, 1, 1)
    inside = (distance < (0.5 * radius).clamp(min=0.4)).float()
    ring = ((distance > 1.3 * radius + 0.6) & (distance < 1.3 * radius + 2.6)).float()
    count = ring.sum((1, 2)).clamp(min=1)
    dark = (middle * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    around = (middle * ring).sum((1, 2)) / count
    spread = ((middle - around.view(-1, 1, 1)).square() * ring).sum((1, 2)).div(count).sqrt()
    return 1 - dark / around.clamp(min=0.05), (around - dark) / spread.clamp(min=1e-3)


def _lose_slices(patches: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Replace single slices as at the ends of a scan, where the neighbour or the other side stands in."""
    for lost, stand_in in ((0, 1), (4, 3), (1, 3), (3, 1)):
        some = draws.chance(len(patches), 0.06).nonzero()[:, 0]
        patches[some, lost] = patches[some, stand_in]
    return patches
