"""From the cores of lesions to their outlines in all slices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from ._outline_rays import BEYOND, GAP_MM, REACH_MM, SMOOTH_MM, Level, Patches, Volume, is_hollow, local_level, outline
from ._outline_section import Section, covered

CLIMB_MM = 1.0
"""How far a core may lie from the point that was given."""
FIRST_MM = 4.0
"""Where the ring of the background begins as long as the outline is not known."""


@dataclass
class Traced:
    """Outlines of N lesions.

    Args:
        cores: voxels, (N, 3).
        level: of the lesions.
        noise: robust spread of the image in the rings around them, (N,).
        sections: lesion (M,), slice (M,) and section of each outline in a slice; that of the core comes first.
    """

    cores: torch.Tensor
    level: Level
    noise: torch.Tensor
    sections: list[tuple[torch.Tensor, torch.Tensor, Section]]


class Tracer:
    """Finds outlines in a volume.

    Args:
        volume: slices along the last axis. A core outside its mask ignores that.
        spacing_mm: of the voxels.
    """

    def __init__(self, volume: Volume, spacing_mm: tuple[float, float, float]) -> None:
        self.volume, self.spacing = volume, spacing_mm

    def climb(self, points: torch.Tensor) -> torch.Tensor:
        """Move voxels (N, 3) uphill by 1 mm in plane and one slice at most, to the cores."""
        steps = max(1, round(CLIMB_MM / min(self.spacing[:2])))
        sigma = [SMOOTH_MM / mm for mm in self.spacing[:2]]
        cores = []
        for point in points.tolist():
            low = [max(0, at - reach) for at, reach in zip(point, (steps + 3, steps + 3, 1), strict=True)]
            high = [at + reach + 1 for at, reach in zip(point, (steps + 3, steps + 3, 1), strict=True)]
            where = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            box, inside = (part.numpy() for part in self.volume.at(where))
            if inside[tuple(np.subtract(point, low))]:
                box = np.where(inside, box, box.min())
            box = ndimage.gaussian_filter(box, (*sigma, 0), truncate=2)
            here = np.subtract(point, low)
            for _ in range(steps):
                corner = np.maximum(here - 1, 0)
                part = box[tuple(slice(a, b) for a, b in zip(corner, here + 2, strict=True))]
                here, last = corner + np.unravel_index(part.argmax(), part.shape), here
                if (here == last).all():
                    break
            cores.append((here + low).tolist())
        return torch.tensor(cores, dtype=torch.long).reshape(-1, 3)

    def trace(self, cores: torch.Tensor) -> Traced:
        """Return the outlines around cores (N, 3)."""
        free = ~self.volume.at(tuple(cores.T))[1]
        section, level, noise = self._through_core(cores, free)
        sections = [(torch.arange(len(cores)), cores[:, 2], section)]
        for way in (-1, 1):
            sections += self._onwards(cores[:, 2], way, section, level, free)
        return Traced(cores, level, noise, sections)

    def patches(self, slices: torch.Tensor, around: torch.Tensor, free: torch.Tensor) -> Patches:
        """Return patches of the volume."""
        return Patches(self.volume, self.spacing[:2], slices, around, free)

    def _through_core(self, cores: torch.Tensor, free: torch.Tensor) -> tuple[Section, Level, torch.Tensor]:
        """Return the sections in the slices of the cores, levels and noise; level and outline are found in turn."""
        centre = cores[:, :2].float()
        patches = self.patches(cores[:, 2], centre, free)
        start = patches.at(centre)
        values, inside = patches.along_rays(centre)
        level = local_level(values, inside, torch.full(values.shape[:2], FIRST_MM), start)
        for _ in range(3):
            radius, _ = outline(values, inside, start, level)
            level = local_level(values, inside, radius + GAP_MM, start)
        noise = patches.noise(centre, radius + GAP_MM, level)
        section = self._centred(patches, centre, level)
        one = math.sqrt(self.spacing[0] * self.spacing[1] / math.pi)  # a core has one voxel at least
        small = section.area_mm2 < math.pi * one**2
        return Section(section.centre, section.radius_mm.masked_fill(small[:, None], one), section.beyond), level, noise

    def _centred(self, patches: Patches, centre: torch.Tensor, level: Level) -> Section:
        """Return the sections seen from their centres of gravity, with holes filled."""
        values, inside = patches.along_rays(centre)
        hollow = is_hollow(values, level)
        if hollow.any():
            patches.fill_holes(hollow)
            values, inside = patches.along_rays(centre)
        radius, _ = outline(values, inside, patches.at(centre), level)
        moved = centre + Section(centre, radius, centre).centroid_mm() / patches.spacing
        moved = moved.where((patches.at(moved) >= level.half)[:, None], centre)
        radius, beyond = outline(*patches.along_rays(moved), patches.at(moved), level)
        return Section(moved, radius, moved + beyond / patches.spacing)

    def _onwards(
        self, slices: torch.Tensor, way: int, section: Section, level: Level, free: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor, Section]]:
        """Return the sections in the slices after or before those of the cores, until lesions end or meet a saddle."""
        found = []
        thick, depth = self.spacing[2], self.volume.image.shape[2]
        index, lowest, widest = torch.arange(len(slices)), level.core, section.area_mm2
        for step in range(1, depth):
            slice_ = slices[index] + way * step
            furthest = (BEYOND * (widest / math.pi).sqrt() + thick).clamp(max=REACH_MM + thick)
            goes_on = (slice_ >= 0) & (slice_ < depth) & (step * thick <= furthest)
            index, slice_, section = index[goes_on], slice_[goes_on], section.of(goes_on)
            lowest, widest = lowest[goes_on], widest[goes_on]
            if not len(index):
                break
            patches, here = self.patches(slice_, section.centre, free[index]), level.of(index)
            centre, best = self._highest(patches, section)
            values, inside = patches.along_rays(centre)
            radius, _ = outline(values, inside, best, here)
            background = local_level(values, inside, radius + GAP_MM, here.core).background
            here = Level(here.core, background, here.spread)  # slices differ in brightness
            goes_on = (best >= here.half) & (best - lowest <= here.rise)
            if not goes_on.any():
                break
            section = self._centred(patches, centre, here).of(goes_on)
            index, lowest = index[goes_on], torch.minimum(lowest, best)[goes_on]
            widest = torch.maximum(widest[goes_on], section.area_mm2)  # a core may lie far from the middle
            found.append((index, slice_[goes_on], section))
        return found

    def _highest(self, patches: Patches, section: Section) -> tuple[torch.Tensor, torch.Tensor]:
        """Return place (N, 2) and value (N,) of what is highest in patches, below or above sections."""
        shares, half = covered(section, self.spacing[:2])
        (top, left), (a, b) = patches.reach, half
        inner = patches.values[:, top - a : top + a + 1, left - b : left + b + 1]
        best, position = inner.masked_fill(shares > 1, -torch.inf).flatten(1).max(dim=1)
        at = torch.stack([position // inner.shape[2], position % inner.shape[2]], dim=1)
        centre = (patches.middle + at - torch.tensor(half)).where(best.isfinite()[:, None], patches.middle)
        return centre, best.where(best.isfinite(), patches.at(centre))
