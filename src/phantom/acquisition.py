"""The scanner: from a head to the images on the box of the acquisition grid."""

import numpy as np
import torch
from scipy import ndimage

from .anatomy import Warp
from .fields import air_on_grid, smooth_noise
from .grid import Grid
from .head_model import HeadModel
from .physics import (
    GYROMAGNETIC,
    dipole_field,
    homodyne_phase,
    susceptibility_weighted,
    truncated_division,
    zero_filled,
)
from .protocols import Protocol
from .software import Software

LEAST_MM, MOST_MM = -1.5, 5.0  # how far a brain mask falls short of the brain, or reaches beyond it
SHOTS = 8  # shifts of a moving head in one scan


def acquire(
    protocol: Protocol, grid: Grid, warp: Warp, head_model: HeadModel, mask: torch.Tensor, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    """Return ``"swi"``, ``"mag"``, ``"phase"`` and ``"qsm"`` of a head; QSM is zero outside the mask."""
    software, device = protocol.software, mask.device
    field = dipole_field(head_model.chi, grid.fine_mm, grid.b0_direction)
    weight = grid.average(head_model.signal)
    local = grid.average(field)  # of all tissue alike: a bleed without signal is inferred from around it
    air = protocol.air * air_on_grid(grid, warp, rng, device)
    field += air
    to_phase = GYROMAGNETIC * protocol.b0_tesla * protocol.te_ms * 1e-3
    angle = field.mul_(to_phase)
    clean = torch.complex(grid.average(head_model.signal * angle.cos()), grid.average(head_model.signal * angle.sin()))

    level = float(weight[mask].mean())
    gain = 1000 / level
    bias = smooth_noise(rng, grid.voxel_mm, mask.shape, 70, device).mul(protocol.bias).exp()
    sigma = 1000 / protocol.snr
    raw = torch.from_numpy(rng.standard_normal((2, *mask.shape), dtype=np.float32)).to(device) * sigma
    signal = zero_filled(clean * gain * bias + torch.complex(raw[0], raw[1]), protocol.kspace)
    signal = _moved(signal, grid.voxel_mm, software.motion_mm, rng)
    signal = _tapered(signal, (protocol.kspace, protocol.kspace, software.kspace_slice), software.taper)
    magnitude = signal.abs()
    phase = homodyne_phase(signal, grid.voxel_mm, protocol.filter_cycles_per_mm)

    # Phase noise is the noise over the signal; the same draw, turned by 90 degrees, serves.
    noisy = local + raw[1] / (clean.abs() * gain * bias).clamp(min=sigma) / to_phase
    if software.background:
        noisy += software.background * grid.average(air)
    qsm = _susceptibility(noisy * mask, mask, grid, software)
    if head_model.painted.any():
        magnitude = magnitude * (1 - head_model.painted)
        qsm = qsm + head_model.painted * float(rng.uniform(0.1, 0.6))
    power = protocol.phase_power
    if software.phase_mask == "susceptibility":
        weighted = magnitude * (1 - qsm).clamp(0, 1) ** power  # 1 ppm is black, as in tSWI
    else:
        weighted = susceptibility_weighted(
            magnitude, phase.abs() if software.phase_mask == "symmetric" else phase, power
        )
    return {
        "swi": _stored(weighted, software),
        "mag": _stored(magnitude, software),
        "phase": software.phase_sign * phase,
        "qsm": qsm,
    }


def _susceptibility(field: torch.Tensor, mask: torch.Tensor, grid: Grid, software: Software) -> torch.Tensor:
    qsm = truncated_division(field, grid.voxel_mm, grid.b0_direction, software.division)
    if software.qsm_blur:
        qsm = torch.from_numpy(ndimage.gaussian_filter(qsm.numpy(force=True), software.qsm_blur)).to(mask.device)
    qsm = qsm * mask
    return (qsm - qsm[mask].mean()) * mask


def _moved(signal: torch.Tensor, voxel_mm: torch.Tensor, motion_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Return what is measured of a head that shifts between the shots, whose lines of k-space lie beside each other."""
    if not motion_mm:
        return signal
    spectrum = torch.fft.fft2(signal, dim=(0, 1))
    kx, ky = (torch.fft.fftfreq(n, float(h)) for n, h in zip(signal.shape[:2], voxel_mm[:2], strict=True))
    shift = torch.from_numpy(rng.normal(0, motion_mm, (2, SHOTS))).float()
    shift -= shift[:, SHOTS // 2, None]  # the middle of k-space says where the head is
    shot = ((ky * float(voxel_mm[1]) + 0.5) * SHOTS).long().clamp(max=SHOTS - 1)
    turn = (kx[:, None] * shift[0][shot] + ky * shift[1][shot]).to(signal.device)
    return torch.fft.ifft2(spectrum * torch.polar(torch.ones_like(turn), -2 * torch.pi * turn)[..., None], dim=(0, 1))


def _tapered(signal: torch.Tensor, shares: tuple[float, float, float], taper: float) -> torch.Tensor:
    """Fade out the border of k-space, of which ``shares`` were measured, along the axes by a raised cosine."""
    if not taper and shares[2] == 1:
        return signal
    spectrum = torch.fft.fftn(signal)
    for axis, share in enumerate(shares):
        k = torch.fft.fftfreq(signal.shape[axis], device=signal.device).abs() * 2 / share
        fade = 0.5 + 0.5 * torch.cos(torch.pi * ((k - 1 + taper) / max(taper, 1e-6)).clamp(0, 1))
        spectrum *= torch.where(k <= 1, fade, 0.0).view([-1 if a == axis else 1 for a in range(3)])
    return torch.fft.ifftn(spectrum)


def _stored(image: torch.Tensor, software: Software) -> torch.Tensor:
    """Return an image, whose brain is near 1000, with the scanner's contrast curve, in steps of its integers."""
    if software.gamma != 1:
        image = 1000 * (image / 1000) ** software.gamma
    if software.bits < 16:
        step = float(image.max()) / (2**software.bits - 1)
        image = (image / step).round() * step
    return image


def extracted(mask: torch.Tensor, voxel_mm: torch.Tensor, mask_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Return a brain mask as tools make it: too wide in places, too narrow in others.

    Args:
        mask: of the brain, bool.
        voxel_mm: (3,) voxel size.
        mask_mm: standard deviation in mm; 0 returns the mask itself.
        rng: draws where.
    """
    if not mask_mm:
        return mask
    inside, outside = (ndimage.distance_transform_edt(m, sampling=voxel_mm.numpy()) for m in (mask.cpu(), ~mask.cpu()))
    reach = mask_mm * (float(rng.normal()) + smooth_noise(rng, voxel_mm, mask.shape, scale_mm=25)) / 2**0.5
    return (torch.from_numpy(outside - inside).float() <= reach.clamp(LEAST_MM, MOST_MM)).to(mask.device)
