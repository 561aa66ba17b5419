"""Outlines of lesions in one slice each, by rays from their cores: half contrast, finer than a voxel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from skimage.morphology import area_closing
from torch.nn.functional import grid_sample, pad

from ._outline_section import ANGLES, directions

STEP_MM = 0.25
"""Distance of the samples on a ray."""
REACH_MM = 8.0
GAP_MM, RING_MM = 0.75, 3.0
"""How far a ray goes; how far from the outline the ring of the local background begins, and how wide it is."""
SMOOTH_MM = 0.25
"""Standard deviation of the Gaussian against noise: less than half a voxel of most scans."""
BEYOND = 1.6
"""Times the median ray that no ray exceeds: a vessel that joins a lesion is cut there."""
RISE, SPREADS = 0.3, 3.0
"""Share of the contrast, and spreads of the background, by which values rise again beyond a saddle."""
HOLE_MM2, HOLES_MM = 3.0, 4.0
"""Largest hole of a lesion that is filled, and how far from the core one is looked for."""


@dataclass
class Level:
    """Of N lesions, (N,) each: value of the core, of the background, and the robust spread of the background."""

    core: torch.Tensor
    background: torch.Tensor
    spread: torch.Tensor

    @property
    def half(self) -> torch.Tensor:
        """Half way between background and core, (N,); infinite where the core does not stand out."""
        rounding = 1e-5 * torch.maximum(self.core.abs(), self.background.abs())
        return ((self.core + self.background) / 2).where(self.core - self.background > rounding, torch.inf)

    @property
    def rise(self) -> torch.Tensor:
        """How far values rise beyond a saddle for another core, (N,): dumb-bells of noise do not."""
        return torch.maximum(RISE * (self.core - self.background), SPREADS * self.spread)

    def of(self, chosen: torch.Tensor) -> Level:
        """Return the levels of some of the lesions."""
        return Level(self.core[chosen], self.background[chosen], self.spread[chosen])


@dataclass
class Volume:
    """A scan, of which no more is converted than what is looked at.

    Args:
        image: (H, W, K), slices along the last axis.
        mask: of the same shape, above 0 where background is measured and rays go, as far as values are finite.
        sign: 1, or -1 where lesions are dark.
    """

    image: torch.Tensor
    mask: torch.Tensor | None
    sign: int

    def at(self, index: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values, float32 with lesions bright, and mask, bool, at an index of the volume."""
        values = self.image[index].float()
        inside = values.isfinite()
        if self.mask is not None:
            inside &= self.mask[index] > 0
        return self.sign * values.nan_to_num(0.0, 0.0, 0.0), inside


class Patches:
    """Smoothed patches (N, h, w) of slices of a volume, and values along rays in them.

    Args:
        volume: slices along the last axis.
        spacing_mm: of rows and columns.
        slices: (N,).
        around: row and column (N, 2), the middle of each patch.
        free: patches (N,) that do not look at the mask.
    """

    def __init__(
        self,
        volume: Volume,
        spacing_mm: tuple[float, float],
        slices: torch.Tensor,
        around: torch.Tensor,
        free: torch.Tensor,
    ) -> None:
        self.spacing = torch.tensor(spacing_mm)
        self.reach = [math.ceil((REACH_MM + RING_MM) / mm) + 1 for mm in spacing_mm]
        self.middle = around.round()
        rows, columns = (self.middle[:, k, None].long() + torch.arange(-r, r + 1) for k, r in enumerate(self.reach))
        height, width = volume.image.shape[:2]
        there = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
        index = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None], slices[:, None, None]
        self.raw, inside = volume.at(index)
        inside = there & (inside | free[:, None, None])
        self.inside = inside.float()
        if not inside.all():  # as background: what was stripped is often as dark as a lesion
            middle = self.raw.masked_fill(~inside, torch.nan).flatten(1).nanmedian(dim=1).values
            self.raw = self.raw.where(inside, middle.nan_to_num(0.0)[:, None, None])
        self.values = smoothed(self.raw, spacing_mm)

    def along_rays(self, centre: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values and mask along rays from ``centre`` (N, 2), both (N, ANGLES, R)."""
        return self._sample(self.values, centre, "bicubic"), self._sample(self.inside, centre, "bilinear") > 0.5

    def noise(self, centre: torch.Tensor, first_mm: torch.Tensor, level: Level) -> torch.Tensor:
        """Return the robust spread, (N,), of the image as it is in the rings that begin at ``first_mm``."""
        values, inside = self._sample(self.raw, centre, "nearest"), self._sample(self.inside, centre, "bilinear") > 0.5
        return local_level(values, inside, first_mm, level.core).spread

    def _sample(self, images: torch.Tensor, centre: torch.Tensor, mode: str) -> torch.Tensor:
        position = (centre - self.middle)[:, None, None] + (directions() / self.spacing)[:, None] * radii()[:, None]
        grid = (position / torch.tensor(self.reach)).flip(-1)  # grid_sample takes columns first, from -1 to 1
        return grid_sample(images[:, None], grid, mode=mode, padding_mode="border", align_corners=True)[:, 0]

    def at(self, centre: torch.Tensor) -> torch.Tensor:
        """Return the values in points (N, 2)."""
        grid = ((centre - self.middle) / torch.tensor(self.reach)).flip(-1)[:, None, None]
        return grid_sample(self.values[:, None], grid, mode="bicubic", align_corners=True)[:, 0, 0, 0]

    def fill_holes(self, hollow: torch.Tensor) -> None:
        """Fill the small holes of patches (N,) whose lesion has a lighter middle: no ray shall end there."""
        side = [min(r, math.ceil(HOLES_MM / mm)) for r, mm in zip(self.reach, self.spacing.tolist(), strict=True)]
        box = tuple(slice(r - half, r + half + 1) for r, half in zip(self.reach, side, strict=True))
        voxels = int(HOLE_MM2 / float(self.spacing.prod()))
        for number in hollow.nonzero()[:, 0].tolist() if voxels else ():
            patch = self.values[number]
            framed = pad(patch[box], [1] * 4, value=float(patch[box].min()))  # what reaches the frame is no hole
            patch[box] = torch.from_numpy(area_closing(framed.numpy(), voxels + 1)[1:-1, 1:-1])


def radii() -> torch.Tensor:
    """Return the distances in mm of the samples of a ray, (R,)."""
    return torch.arange(1, round((REACH_MM + RING_MM) / STEP_MM) + 1) * STEP_MM


def smoothed(patches: torch.Tensor, spacing_mm: tuple[float, float]) -> torch.Tensor:
    """Return patches (N, h, w, ...) smoothed in plane; their edges are not to be used."""
    for axis, mm in enumerate(spacing_mm, start=1):
        side = math.exp(-0.5 * (mm / SMOOTH_MM) ** 2)  # a neighbour's weight; those of the next are below 0.01
        patches = (patches + side * (patches.roll(1, axis) + patches.roll(-1, axis))) / (1 + 2 * side)
    return patches


def local_level(values: torch.Tensor, inside: torch.Tensor, first_mm: torch.Tensor, core: torch.Tensor) -> Level:
    """Return the levels of N lesions from a ring around each, without what is half as far from tissue as they are.

    That leaves out vessels, other lesions and bright fluid.

    Args:
        values, inside: along the rays, (N, ANGLES, R).
        first_mm: where the ring begins on each ray, (N, ANGLES).
        core: values of the cores, (N,).
    """
    steps = torch.arange(0, round(RING_MM / STEP_MM) + 1, 2)
    position = ((first_mm / STEP_MM).round().long()[..., None] + steps).clamp(max=values.shape[2] - 1)
    around = values.gather(2, position).masked_fill(~inside.gather(2, position), torch.nan).flatten(1)
    middle = around.nanmedian(dim=1, keepdim=True).values
    for _ in range(2):
        near = around.masked_fill((around - middle).abs() > 0.5 * (core[:, None] - middle).abs(), torch.nan)
        middle = near.nanmedian(dim=1, keepdim=True).values
    spread = 1.4826 * (near - middle).abs().nanmedian(dim=1).values
    return Level(core, middle[:, 0].where(middle[:, 0].isfinite(), core), spread.nan_to_num(0.0))


def outline(
    values: torch.Tensor, inside: torch.Tensor, start: torch.Tensor, level: Level
) -> tuple[torch.Tensor, torch.Tensor]:
    """Follow each ray to the first value below half contrast, or to a saddle before it.

    Args:
        values, inside: along the rays, (N, ANGLES, R).
        start: values in the centres, (N,).
        level: of the lesions.

    Returns:
        Radii in mm, (N, ANGLES), and the place of the highest value beyond a saddle, in mm from the centre, (N, 2),
        NaN where no ray meets a saddle.
    """
    count = round(REACH_MM / STEP_MM)
    values, inside = values[..., :count], inside[..., :count]
    half, number = level.half[:, None, None], torch.arange(count)
    out = (values < half) | ~inside
    end = torch.where(out.any(dim=2), out.int().argmax(dim=2), count - 1)[..., None]  # (N, ANGLES, 1)
    before = torch.cat([start[:, None, None].expand(-1, ANGLES, 1), values], dim=2)
    low, high = values.gather(2, end), before.gather(2, end)
    radius = (end + ((high - half) / (high - low).clamp(min=1e-9)).clamp(0, 1))[..., 0] * STEP_MM
    lowest, where = values.cummin(dim=2)
    risen = (values - lowest > level.rise[:, None, None]) & (number < end)
    saddle = where.gather(2, risen.int().argmax(dim=2, keepdim=True))
    saddle = saddle.where(risen.any(dim=2, keepdim=True), count)
    radius = torch.minimum(radius, (saddle[..., 0] + 1) * STEP_MM)
    radius = torch.minimum(radius, BEYOND * radius.median(dim=1, keepdim=True).values)
    highest, position = values.masked_fill((number <= saddle) | (number >= end), -torch.inf).flatten(1).max(dim=1)
    other = directions()[position // count] * ((position % count + 1) * STEP_MM)[:, None]
    return radius, other.where(highest.isfinite()[:, None], torch.nan)


def is_hollow(values: torch.Tensor, level: Level) -> torch.Tensor:
    """Return whether an eighth of the rays fall below half contrast and rise above it again within a hole, (N,)."""
    wide = 2 * round((HOLE_MM2 / math.pi) ** 0.5 / STEP_MM)  # a hole's diameter
    above = values[..., : round(HOLES_MM / STEP_MM)] >= level.half[:, None, None]
    falls = (~above).int().argmax(dim=2, keepdim=True)
    later = torch.arange(above.shape[2]) - falls
    again = (above & (later > 0) & (later <= wide)).any(dim=2) & ~above.all(dim=2)
    return again.sum(dim=1) >= ANGLES // 8
