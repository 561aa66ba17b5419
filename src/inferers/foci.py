"""Candidates: dark foci in the slices of a scan, by the Hessian, on the grid of the scanner."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import conv2d, conv3d, interpolate, pad

from ..transforms.grid.window_maximum import window_maximum

SIGMAS_MM = (0.5, 0.8, 1.2, 1.8, 2.7)
FIELD_MM = 12.0
"""Standard deviation of the Gaussian by which the brightness of tissue is followed over the brain."""
COARSE_MM = 3.0
TOGETHER = 8  # slices that fit into the cache of a processor
BRIGHTEST = 1.25
"""Times the local brightness of tissue, at which bright fluid is clipped so that its edges are no dark foci."""


@dataclass(frozen=True)
class Foci:
    """Dark foci of a scan, the strongest first.

    Args:
        points: voxels, (N, 3) int64.
        response: how dark and round they are, (N,).
    """

    points: torch.Tensor
    response: torch.Tensor


def gaussian(sigma: float) -> torch.Tensor:
    """Return the weights of a Gaussian whose standard deviation is ``sigma`` voxels, as far as three of these."""
    radius = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    return line / line.sum()


def tissue_field(image: torch.Tensor, mask: torch.Tensor, spacing_mm: tuple[float, float, float]) -> torch.Tensor:
    """Return the brightness of tissue around each voxel, (H, W, D): a wide mean in the brain, bright fluid clipped.

    Args:
        image: (H, W, D) float32.
        mask: brain, (H, W, D) bool.
        spacing_mm: of the voxels.
    """
    middle = image[mask].median()
    size = [max(1, min(n, round(n * mm / COARSE_MM))) for n, mm in zip(image.shape, spacing_mm, strict=True)]
    pair = torch.stack([image.clamp(0, 2 * float(middle)) * mask, mask.float()])
    coarse = interpolate(pair[None], size=size, mode="area")[0][:, None]
    for axis in range(3):
        mm = image.shape[axis] * spacing_mm[axis] / size[axis]
        line = gaussian(FIELD_MM / mm)
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = len(line)
        coarse = conv3d(coarse, line.view(shape), padding=[n // 2 for n in shape[2:]])
    mean = coarse[0] / coarse[1].clamp(min=0.02)
    return interpolate(mean[None], size=image.shape, mode="trilinear")[0, 0].clamp(min=0.15 * float(middle))


def focus_response(planes: torch.Tensor, spacing_mm: tuple[float, float]) -> torch.Tensor:
    """Return the smaller eigenvalue of the Hessian of each slice, the largest over :data:`SIGMAS_MM`; 0 where negative.

    Both eigenvalues are high in a dark focus, one alone on a dark line.

    Args:
        planes: slices, (K, H, W) float32.
        spacing_mm: of rows and columns.
    """
    return torch.cat([_response(some, spacing_mm) for some in planes.split(TOGETHER)])


def _response(planes: torch.Tensor, spacing_mm: tuple[float, float]) -> torch.Tensor:
    best = torch.zeros_like(planes)
    half = interpolate(planes[None], scale_factor=0.5, mode="area")[0] if min(planes.shape[1:]) > 1 else planes
    for sigma_mm in SIGMAS_MM:
        sigma = [max(sigma_mm / mm, 0.6) for mm in spacing_mm]
        if min(sigma) >= 2.4 and half is not planes:  # nothing is lost at half of the resolution
            found = _eigenvalue(half, [s / 2 for s in sigma])
            found = interpolate(found[None], size=planes.shape[1:], mode="bilinear")[0]
        else:
            found = _eigenvalue(planes, sigma)
        best = torch.maximum(best, found)
    return best


def _eigenvalue(planes: torch.Tensor, sigma: list[float]) -> torch.Tensor:
    count = len(planes)  # slices are channels: a convolution of each by itself is fast
    rows, columns = gaussian(sigma[0]), gaussian(sigma[1])
    smooth = pad(planes[None], [len(columns) // 2] * 2 + [len(rows) // 2] * 2, mode="replicate")
    smooth = conv2d(smooth, rows.view(1, 1, -1, 1).repeat(count, 1, 1, 1), groups=count)
    smooth = conv2d(smooth, columns.view(1, 1, 1, -1).repeat(count, 1, 1, 1), groups=count)
    s = pad(smooth, (1, 1, 1, 1), mode="replicate")[0]
    centre = s[:, 1:-1, 1:-1]
    along = (s[:, 2:, 1:-1] + s[:, :-2, 1:-1] - 2 * centre) * sigma[0] ** 2
    across = (s[:, 1:-1, 2:] + s[:, 1:-1, :-2] - 2 * centre) * sigma[1] ** 2
    mixed = (s[:, 2:, 2:] - s[:, 2:, :-2] - s[:, :-2, 2:] + s[:, :-2, :-2]) * (sigma[0] * sigma[1] / 4)
    return (along + across) / 2 - (((along - across) / 2).square() + mixed.square()).sqrt()


def find_foci(
    image: torch.Tensor,
    mask: torch.Tensor,
    spacing_mm: tuple[float, float, float],
    threshold: float = 0.04,
    most: int = 1500,
) -> Foci:
    """Return the dark foci of a scan whose slices lie along the last axis.

    Args:
        image: (H, W, D) float32, microbleeds dark.
        mask: brain, (H, W, D) bool.
        spacing_mm: of the voxels.
        threshold: lowest response.
        most: candidates at most; the strongest are kept.
    """
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in mask.nonzero().T)
    image, brain = image[box], mask[box]
    flat = (image / tissue_field(image, brain, spacing_mm)).clamp(max=BRIGHTEST).permute(2, 0, 1)
    near = window_maximum(brain.permute(2, 0, 1).to(torch.uint8), (1, 5, 5)) > 0
    response = focus_response(flat.where(near, torch.ones(())).contiguous(), spacing_mm[:2])
    wide = [max(3, 2 * math.floor(0.75 / mm) + 1) for mm in spacing_mm[:2]]
    window = [3 if spacing_mm[2] > 1.5 else 5, *wide]
    found = (response == window_maximum(response, window)) & (response > threshold) & brain.permute(2, 0, 1)
    slices, rows, columns = found.nonzero(as_tuple=True)
    strength = response[slices, rows, columns]
    order = strength.argsort(descending=True)[:most]
    first = torch.tensor([side.start for side in box])
    return Foci(torch.stack([rows, columns, slices], dim=1)[order] + first, strength[order])
