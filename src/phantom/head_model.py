"""The head on the fine grid: signal and susceptibility of tissue, iron, veins, microbleeds and mimics."""

from dataclasses import dataclass

import numpy as np
import torch

from .anatomy import Warp, distance_outside, iron_template, sample_template, tissue_template
from .blobs import MIMICS, Blob
from .fields import smooth_noise
from .grid import SKIN_MM, Grid
from .physics import RELAXIVITY, TISSUES, steady_state
from .protocols import Protocol
from .vessels import Veins, draw_tubes

SKULL_MM, SCALP_MM = 1.5, 7.0  # where skull and scalp begin, outside the brain


@dataclass
class HeadModel:
    """What the scanner sees, on the fine grid, and the truth about it, on the box of the acquisition grid.

    Args:
        signal: magnitude at the echo time without dephasing inside the voxel.
        chi: susceptibility in ppm.
        brain: 1 inside the brain.
        vessels: mean susceptibility of veins in ppm.
        label: microbleeds 1..n, int16.
        mimics: codes of :data:`csvd.phantom.MIMICS`, uint8.
        painted: share of the magnitude that microbleeds without susceptibility take away.
    """

    signal: torch.Tensor
    chi: torch.Tensor
    brain: torch.Tensor
    vessels: torch.Tensor
    label: torch.Tensor
    mimics: torch.Tensor
    painted: torch.Tensor


def build_head(
    protocol: Protocol,
    grid: Grid,
    warp: Warp,
    veins: Veins,
    blobs: list[Blob],
    rng: np.random.Generator,
    age: float,
    head: bool,
    device: torch.device | str = "cpu",
) -> HeadModel:
    """Paint one brain on the fine grid, with ``head`` also fluid, skull and scalp around it."""
    volumes = [*tissue_template(), iron_template(rng, age), *([distance_outside()] if head else [])]
    sampled = sample_template(torch.stack(volumes).to(device), warp, grid.fine_affine, grid.fine_shape)
    fraction, brain, iron = sampled[:3], (sampled[3] > 0.5).float(), sampled[4]
    # The average brain of the template has narrow sulci; an old one has wide ones.
    fraction[2] *= float(np.exp(rng.normal(0.4 + 0.012 * (age - 50), 0.3)))
    fraction /= fraction.sum(dim=0).clamp(min=1e-3)

    jitter = rng.normal(1, protocol.tissue_spread, (3, 3)).clip(0.6, 1.4)
    weight = rng.uniform(0.15, 1, 3).tolist() if protocol.any_contrast else steady_state(protocol, jitter)
    signal = sum(s * f for s, f in zip(weight, fraction, strict=True)) * brain
    if protocol.texture:
        scale_mm = float(rng.uniform(4, 12))
        signal *= (protocol.texture * smooth_noise(rng, grid.fine_mm, grid.fine_shape, scale_mm, device)).exp()
    offset = [tissue[3] * rng.normal(1, 0.2) for tissue in TISSUES.values()]
    chi = sum(c * f for c, f in zip(offset, fraction, strict=True)) * brain

    extra = iron
    to_fine = torch.linalg.inv(grid.fine_affine)
    points = warp.to_world(veins.points) @ to_fine[:3, :3].T + to_fine[:3, 3]
    points, radius_mm, chi_ppm = (part.to(device) for part in (points, veins.radius_mm, veins.chi_ppm))
    tubes = draw_tubes(points, radius_mm, chi_ppm, grid.fine_mm, grid.fine_shape) * brain
    extra = extra + tubes
    label, mimics, painted = _paint_blobs(blobs, grid, extra, signal, weight[2])
    chi += extra
    signal *= torch.exp(-protocol.te_ms * 1e-3 * RELAXIVITY * protocol.b0_tesla * extra.abs())
    if head:
        _add_shells(signal, sampled[5], brain, weight)
    return HeadModel(signal, chi, brain, grid.average(tubes), label, mimics, painted)


def _paint_blobs(
    blobs: list[Blob], grid: Grid, extra: torch.Tensor, signal: torch.Tensor, fluid: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add blobs to the susceptibility in place; return microbleeds, mimics and what is painted, on the box.

    A voxel belongs to a blob that fills half of it, or half of what it fills of its fullest voxel.
    """
    coarse_shape = [s.stop - s.start for s in grid.box]
    label = torch.zeros(coarse_shape, dtype=torch.int16, device=signal.device)
    mimics = torch.zeros(coarse_shape, dtype=torch.uint8, device=signal.device)
    painted = torch.zeros(coarse_shape, device=signal.device)
    factor = torch.tensor(grid.factor)
    affine = grid.fine_affine
    to_fine = torch.linalg.inv(affine)
    number = 0
    for blob in blobs:
        number += blob.kind == "microbleed"
        centre = (to_fine[:3, :3] @ blob.centre_mm + to_fine[:3, 3] + 0.5) / factor - 0.5
        reach = (1.6 * blob.radius_mm + 1) / grid.voxel_mm + 1
        low = (centre - reach).floor().long().clamp(min=0)
        high = torch.minimum((centre + reach).ceil().long() + 1, torch.tensor(coarse_shape))
        if (high <= low).any():
            continue
        coarse = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        fine = tuple(slice(int(a * f), int(b * f)) for a, b, f in zip(low, high, factor, strict=True))
        index = torch.stack(torch.meshgrid(*(torch.arange(s.start, s.stop) for s in fine), indexing="ij"), dim=-1)
        cover = blob.cover(index.float() @ affine[:3, :3].T + affine[:3, 3], grid.fine_mm)
        deposit, marked = (share.to(signal.device) for share in cover)
        if blob.darkness:
            painted[coarse] = torch.maximum(painted[coarse], blob.darkness * grid.average(marked))
        else:
            extra[fine] = extra[fine] * (1 - deposit) + blob.chi_ppm * deposit
        if blob.kind == "calcification":
            signal[fine] *= 1 - 0.7 * deposit  # little water
        if blob.kind == "lacune":
            signal[fine] += (fluid - signal[fine]) * deposit
        filled = grid.average(marked)
        inside = filled >= 0.5 * filled.max().clamp(max=1.0)
        if blob.kind == "microbleed":
            label[coarse][inside & (filled > 0)] = number
        else:
            mimics[coarse][inside & (filled > 0)] = MIMICS[blob.kind]
    return label, mimics, painted


def _add_shells(signal: torch.Tensor, outside_mm: torch.Tensor, brain: torch.Tensor, weight: list[float]) -> None:
    """Add fluid, skull and scalp around the brain, in place; beyond them is air without signal.

    Their own field is left out, as a shim and background removal would leave little of it.
    """
    fluid, skull, scalp = weight[2], 0.12 * weight[1], 1.2 * weight[1]
    for start, stop, value in ((0, SKULL_MM, fluid), (SKULL_MM, SCALP_MM, skull), (SCALP_MM, SKIN_MM, scalp)):
        signal[(brain == 0) & (outside_mm >= start) & (outside_mm < stop)] = value
