"""How patches of other scanners look: contrast, dark shades, gain of slices, tight masks, resolution and noise."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch.nn.functional import affine_grid, grid_sample

from .draws import Draws

PIXEL_MM = 0.45
MARGIN = 4  # voxels of a background at each side, to turn it
DRAWN = 56  # voxels of a patch while it is drawn
RESOLUTIONS_MM = (0.45, 1.1)
OPERATORS = 96  # blurs to choose from


def turn(patches: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Mirror patches (N, C, 64, 64) and turn some of them, and return their middle, (N, C, 56, 56)."""
    n = len(patches)
    quarter = int(draws.among(1, 8))
    patches = patches.flip(-1) if quarter & 1 else patches
    patches = patches.flip(-2) if quarter & 2 else patches
    patches = patches.transpose(-1, -2) if quarter & 4 else patches
    inner = patches[..., MARGIN:-MARGIN, MARGIN:-MARGIN].contiguous()
    some = draws.chance(n, 0.15).nonzero()[:, 0]
    if len(some):
        angle, zoom = draws.uniform(len(some), -0.8, 0.8), draws.uniform(len(some), 0.85, 1.15)
        zoom = zoom * DRAWN / patches.shape[-1]
        zero = torch.zeros_like(angle)
        theta = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1).view(-1, 2, 3)
        grid = affine_grid(
            theta * zoom.view(-1, 1, 1), [len(some), patches.shape[1], DRAWN, DRAWN], align_corners=False
        )
        inner[some] = grid_sample(patches[some], grid, padding_mode="reflection", align_corners=False)
    return inner


def recolour(patches: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Give patches (N, C, H, W) another contrast curve, and what is brighter than tissue another brightness.

    The median of the middle slice is 1 afterwards.
    """
    n, middle = len(patches), patches.shape[1] // 2
    tissue = patches[:, middle, 12:44:2, 12:44:2].flatten(1).median(dim=1).values.clamp(min=0.15)
    gamma = torch.where(draws.chance(n, 0.8), draws.uniform(n, 0.6, 1.7), torch.ones(n)).view(-1, 1, 1, 1)
    patches = (patches / tissue.view(-1, 1, 1, 1)).clamp(min=1e-4).pow(gamma)
    bright = draws.log_uniform(n, 0.35, 1.6).view(-1, 1, 1, 1)
    excess = (patches - 1.15).clamp(min=0)
    return patches + excess * (bright - 1)


def shade(patches: torch.Tensor, draws: Draws, gain: torch.Tensor) -> torch.Tensor:
    """Darken a wide soft part of some patches, as iron does in nuclei, and multiply each slice (N, C) by its gain."""
    n, slices, height, width = patches.shape
    patches = patches * gain[..., None, None]
    some = draws.chance(n, 0.35).nonzero()[:, 0]
    count = len(some)
    if not count:
        return patches
    rows = (torch.arange(height) - height // 2)[None, :, None] * PIXEL_MM - draws.uniform(count, -9, 9).view(-1, 1, 1)
    columns = (torch.arange(width) - width // 2) * PIXEL_MM - draws.uniform(count, -9, 9).view(-1, 1, 1)
    angle, flat = draws.uniform(count, 0, math.pi).view(-1, 1, 1), draws.log_uniform(count, 0.4, 1).view(-1, 1, 1)
    along, across = rows * angle.cos() + columns * angle.sin(), (columns * angle.cos() - rows * angle.sin()) / flat
    edge = draws.log_uniform(count, 0.4, 2.5).view(-1, 1, 1)
    dark = torch.sigmoid((draws.log_uniform(count, 3, 10).view(-1, 1, 1) - (along**2 + across**2).sqrt()) / edge)
    dark = dark * draws.uniform(count, 0.1, 0.6).view(-1, 1, 1)
    patches[some] = patches[some] * (1 - dark[:, None] * draws.uniform(count * slices, 0.3, 1).view(count, -1, 1, 1))
    return patches


def strip(patches: torch.Tensor, draws: Draws, clear_mm: torch.Tensor) -> torch.Tensor:
    """Set what lies beyond a bent line to 0 in a fifth of the patches, as tight brain masks do.

    Args:
        patches: (N, C, H, W), changed in place.
        draws: random numbers.
        clear_mm: around the middle that stays, (N,).
    """
    n, slices, height, width = patches.shape
    some = draws.chance(n, 0.2).nonzero()[:, 0]
    count = len(some)
    if not count:
        return patches
    rows = ((torch.arange(height) - height // 2) * PIXEL_MM).view(1, -1, 1)
    columns = (torch.arange(width) - width // 2) * PIXEL_MM
    angle = draws.uniform(count, 0, 2 * math.pi).view(-1, 1, 1)
    out, side = rows * angle.sin() + columns * angle.cos(), rows * angle.cos() - columns * angle.sin()
    bent = out + 0.02 * draws.normal(count).view(-1, 1, 1) * side.square()
    edge = (draws.uniform(count, 3, 13) + clear_mm[some])[:, None] + draws.uniform(count * slices, -2, 2).view(
        count, -1
    )
    patches[some] = patches[some] * (bent[:, None] < edge[..., None, None])
    return patches


@lru_cache(maxsize=1)
def blurs() -> tuple[torch.Tensor, torch.Tensor]:
    """Return operators (96, 56, 56) that take a line of voxels to a coarser grid and back, and voxels per coarse voxel.

    Of 96, 28 do nothing, 34 average and interpolate, and 34 cut the Fourier transform off, some with a window.
    """
    draws = Draws(0)
    line = torch.eye(DRAWN)
    operators, factors = [line] * 28, [1.0] * 28
    for number in range(OPERATORS - 28):
        voxel = float(draws.uniform(1, *RESOLUTIONS_MM))
        size = min(DRAWN, round(DRAWN * PIXEL_MM / voxel / 2) * 2)
        shift = int(draws.among(1, 4))
        moved = line.roll(shift, dims=0)
        seen = _averaged(moved, size) if number % 2 else _truncated(moved, size, int(draws.among(1, 4)))
        operators.append(seen.roll(-shift, dims=0))
        factors.append(DRAWN / size)
    return torch.stack(operators), torch.tensor(factors)


def _averaged(line: torch.Tensor, size: int) -> torch.Tensor:
    down = torch.nn.functional.adaptive_avg_pool1d(line.T, size)
    return torch.nn.functional.interpolate(down[None], size=DRAWN, mode="linear", align_corners=False)[0].T


def _truncated(line: torch.Tensor, size: int, window: int) -> torch.Tensor:
    """Cut off high frequencies: without a window in half of the cases, else by a Hamming or a Tukey window."""
    phase = 2 * math.pi * (torch.arange(size) + 0.5) / size
    tukey = ((0.5 - 0.5 * phase.cos()) * 3).clamp(max=1)
    weight = {0: torch.ones(size), 1: torch.ones(size), 2: tukey, 3: 0.54 - 0.46 * phase.cos()}[window]
    full = torch.zeros(DRAWN)
    first = (DRAWN - size) // 2
    full[first : first + size] = weight
    spectrum = torch.fft.fftshift(torch.fft.fft(line, dim=0), dim=0) * full[:, None]
    return torch.fft.ifft(torch.fft.ifftshift(spectrum, dim=0), dim=0).real


def degrade(patches: torch.Tensor, draws: Draws, noise_share: torch.Tensor) -> torch.Tensor:
    """Add noise to patches (N, C, 56, 56), and lose resolution as a coarser scanner would: to 0.45 to 1.1 mm.

    Args:
        patches: median 1.
        draws: random numbers; noise is 0 to 0.12, on the coarser grid, and small values are more frequent.
        noise_share: of that noise in each slice, (N, C).
    """
    n, slices = patches.shape[:2]
    operators, factors = blurs()
    chosen = draws.among(n, OPERATORS)
    level = 0.072 * draws.uniform(n).square()
    noisy = (
        patches
        + draws.normal(*patches.shape) * (level * factors[chosen])[:, None, None, None] * noise_share[..., None, None]
    )
    operator = operators[chosen]
    lines = torch.bmm(operator, noisy.transpose(1, 2).reshape(n, DRAWN, -1)).view(n, DRAWN, slices, DRAWN)
    return torch.bmm(lines.reshape(n, -1, DRAWN), operator.mT).view(n, DRAWN, slices, DRAWN).transpose(1, 2).abs()
