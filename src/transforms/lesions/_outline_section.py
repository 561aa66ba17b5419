"""The outline of a lesion in a slice: a star of rays around its centre."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

ANGLES = 24
"""Rays of an outline."""


@dataclass
class Section:
    """Outlines of N lesions in a slice each.

    Args:
        centre: row and column in voxels, (N, 2).
        radius_mm: along each ray, (N, ANGLES).
        beyond: row and column (N, 2) of the highest value above the level beyond a saddle, NaN where there is none.
    """

    centre: torch.Tensor
    radius_mm: torch.Tensor
    beyond: torch.Tensor

    def of(self, chosen: torch.Tensor) -> Section:
        """Return the sections of some of the lesions."""
        return Section(self.centre[chosen], self.radius_mm[chosen], self.beyond[chosen])

    @cached_property
    def corners_mm(self) -> torch.Tensor:
        """Corners of the outlines from their centres, (N, ANGLES, 2)."""
        return self.radius_mm[..., None] * directions()

    @cached_property
    def area_mm2(self) -> torch.Tensor:
        """Areas, (N,)."""
        return self._crosses().sum(dim=1) / 2

    @property
    def longest_mm(self) -> torch.Tensor:
        """Longest diameters, (N,)."""
        return torch.cdist(self.corners_mm, self.corners_mm).amax(dim=(1, 2))

    def centroid_mm(self) -> torch.Tensor:
        """Return the centres of gravity from the centres, (N, 2)."""
        pairs = self.corners_mm + self.corners_mm.roll(-1, dims=1)
        return (pairs * self._crosses()[..., None]).sum(dim=1) / (6 * self.area_mm2).clamp(min=1e-6)[:, None]

    def _crosses(self) -> torch.Tensor:
        here, after = self.corners_mm, self.corners_mm.roll(-1, dims=1)
        return here[..., 0] * after[..., 1] - after[..., 0] * here[..., 1]


def directions() -> torch.Tensor:
    """Return rows and columns of the unit vectors along the rays, (ANGLES, 2)."""
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def covered(section: Section, spacing_mm: tuple[float, float]) -> tuple[torch.Tensor, list[int]]:
    """Return how far voxels lie from the centre over the outline there, (N, 2 a + 1, 2 b + 1), and [a, b].

    These are the voxels around the one nearest to each centre, as far as the widest outline goes.
    """
    half = [math.ceil(max(section.radius_mm.flatten().tolist(), default=0.0) / mm) + 1 for mm in spacing_mm]
    rows, columns = (
        (section.centre[:, k, None].round() - section.centre[:, k, None] + torch.arange(-h, h + 1)) * spacing_mm[k]
        for k, h in enumerate(half)
    )
    distance = (rows[:, :, None].square() + columns[:, None].square()).sqrt()
    turn = torch.atan2(columns[:, None].expand_as(distance), rows[:, :, None].expand_as(distance))
    ray = turn / (2 * math.pi / ANGLES) % ANGLES
    first = ray.long().clamp(max=ANGLES - 1)
    low, high = (section.radius_mm.gather(1, (k % ANGLES).flatten(1)).view_as(ray) for k in (first, first + 1))
    return distance / (low + (high - low) * (ray - first)).clamp(min=1e-6), half
