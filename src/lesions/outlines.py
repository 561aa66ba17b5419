"""What is measured of outlined lesions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

LARGEST_MM = 10.0
"""Longest diameter of a microbleed by definition (Greenberg et al., Lancet Neurol. 2009)."""


@dataclass(frozen=True)
class Outlines:
    """Outlines of M lesions and what is measured of each, (M,) in the order of ``ids``.

    Args:
        labels: (H, W, D) int32, 0 outside lesions.
        ids: values in ``labels``: n + 1 for point n, and N + 1 onwards for those that hung together with another.
        point: the point, from 0, that each lesion was found from.
        core: its darkest (brightest) voxel near that point, (M, 3).
        volume_mm3: area inside the half-contrast line of each slice, between voxels, times the distance of slices.
        longest_mm: longest diameter in a slice.
        contrast_percent: how much darker the core is than the local background; NaN of bright lesions, whose
            background is near 0.
        difference: of core and background, positive, in the unit of the image.
        cnr: that over the local robust spread; NaN where that is 0.
        slices: how many the lesion is seen in.
    """

    labels: torch.Tensor
    ids: torch.Tensor
    point: torch.Tensor
    core: torch.Tensor
    volume_mm3: torch.Tensor
    longest_mm: torch.Tensor
    contrast_percent: torch.Tensor
    difference: torch.Tensor
    cnr: torch.Tensor
    slices: torch.Tensor

    @property
    def diameter_mm(self) -> torch.Tensor:
        """Diameters of the spheres of those volumes."""
        return (6 * self.volume_mm3 / torch.pi) ** (1 / 3)

    @property
    def large(self) -> torch.Tensor:
        """Whether a lesion is longer than 10 mm in plane: not a microbleed by definition."""
        return self.longest_mm > LARGEST_MM


def only(found: Outlines, chosen: torch.Tensor) -> Outlines:
    """Return some of the outlines (M,)."""
    parts = {part.name: getattr(found, part.name) for part in fields(found) if part.name != "labels"}
    where = found.labels.nonzero()
    gone = torch.isin(found.labels[tuple(where.T)], found.ids[~chosen].int())
    found.labels[tuple(where[gone].T)] = 0
    return Outlines(found.labels, **{name: part[chosen] for name, part in parts.items()})
