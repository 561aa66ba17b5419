"""From susceptibility to images: dipole field, gradient-echo signal, SWI and a simple QSM."""

import numpy as np
import scipy.fft
import torch

from .protocols import Protocol

GYROMAGNETIC = 267.522  # rad / s / T / ppm
RELAXIVITY = 40.0  # 1 / s / T / ppm: R2* against |susceptibility|, near 125 / s / ppm at 3 T in deep grey matter
# Per tissue: proton density, T1 at 3 T in ms, R2* at 3 T in 1 / s, susceptibility in ppm.
TISSUES: dict[str, tuple[float, float, float, float]] = {
    "grey": (0.80, 1350, 15, 0.02),
    "white": (0.70, 850, 20, -0.03),
    "csf": (1.00, 4000, 2, 0.0),
}


def dipole_kernel(
    shape: tuple[int, ...], voxel_mm: torch.Tensor, b0_direction: torch.Tensor, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Return the unit dipole in k-space, ``1/3 - (k.b)^2 / k^2``, zero at k = 0, laid out as by ``rfftn``.

    Args:
        shape: size of the volume.
        voxel_mm: (3,) voxel size.
        b0_direction: (3,) unit vector of the field in the axes of the volume.
        device: where it is made.
    """
    steps = [float(h) for h in voxel_mm]
    kx = torch.fft.fftfreq(shape[0], steps[0], device=device)[:, None, None]
    ky = torch.fft.fftfreq(shape[1], steps[1], device=device)[None, :, None]
    kz = torch.fft.rfftfreq(shape[2], steps[2], device=device)[None, None, :]
    along = kx * b0_direction[0] + ky * b0_direction[1] + kz * b0_direction[2]
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1
    kernel = 1 / 3 - along.square_().div_(square)
    kernel[0, 0, 0] = 0
    return kernel


def dipole_field(chi: torch.Tensor, voxel_mm: torch.Tensor, b0_direction: torch.Tensor) -> torch.Tensor:
    """Return the field change in ppm of B0 caused by a susceptibility map in ppm, (X, Y, Z) both.

    The volume repeats at its borders: it is padded with zeros by 8 voxels or more.
    """
    padded = tuple(scipy.fft.next_fast_len(n + 8, real=True) for n in chi.shape)
    spectrum = torch.fft.rfftn(chi, s=padded)
    spectrum *= dipole_kernel(padded, voxel_mm, b0_direction, device=chi.device)
    x, y, z = chi.shape
    return torch.fft.irfftn(spectrum, s=padded)[:x, :y, :z]


def steady_state(protocol: Protocol, jitter: np.ndarray) -> list[float]:
    """Return the spoiled gradient-echo signal of grey matter, white matter and CSF at the echo time.

    Args:
        protocol: timing and field; T1 grows and T2* shortens with the field.
        jitter: (3, 3) factors on proton density, T1 and R2* of each tissue.
    """
    flip = np.radians(protocol.flip_deg)
    signals = []
    for (density, t1_ms, r2star, _), factor in zip(TISSUES.values(), jitter, strict=True):
        e1 = np.exp(-protocol.tr_ms / (t1_ms * factor[1] * (protocol.b0_tesla / 3) ** 0.33))
        decay = np.exp(-protocol.te_ms * 1e-3 * r2star * factor[2] * (0.3 + 0.7 * protocol.b0_tesla / 3))
        signals.append(float(density * factor[0] * np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1) * decay))
    return signals


def zero_filled(signal: torch.Tensor, share: float) -> torch.Tensor:
    """Keep the central ``share`` of k-space along both axes of the slice, which blurs and rings as on scanners."""
    if share == 1:
        return signal
    spectrum = torch.fft.fft2(signal, dim=(0, 1))
    for axis in (0, 1):
        kept = torch.fft.fftfreq(signal.shape[axis], device=signal.device).abs() <= share / 2
        spectrum = spectrum * kept.view([-1 if a == axis else 1 for a in range(3)])
    return torch.fft.ifft2(spectrum, dim=(0, 1))


def homodyne_phase(signal: torch.Tensor, voxel_mm: torch.Tensor, radius: float) -> torch.Tensor:
    """Return the phase of each slice after division by its low-passed self, in radians (Haacke et al. 2004).

    Args:
        signal: (X, Y, Z) complex.
        voxel_mm: (3,) voxel size.
        radius: radius of the Hann window in k-space, in cycles per mm.
    """
    kx = torch.fft.fftfreq(signal.shape[0], float(voxel_mm[0]), device=signal.device)[:, None]
    ky = torch.fft.fftfreq(signal.shape[1], float(voxel_mm[1]), device=signal.device)[None, :]
    k = (kx**2 + ky**2).sqrt() / radius
    window = torch.where(k < 1, 0.5 + 0.5 * torch.cos(torch.pi * k), 0.0)[..., None]
    low = torch.fft.ifft2(torch.fft.fft2(signal, dim=(0, 1)) * window, dim=(0, 1))
    return (signal * low.conj()).angle()


def susceptibility_weighted(magnitude: torch.Tensor, phase: torch.Tensor, power: float) -> torch.Tensor:
    """Multiply the magnitude with a phase mask that falls from 1 to 0 as the phase rises from 0 to pi."""
    return magnitude * (1 - phase / torch.pi).clamp(0, 1) ** power


def truncated_division(
    field: torch.Tensor, voxel_mm: torch.Tensor, b0_direction: torch.Tensor, threshold: float = 0.19
) -> torch.Tensor:
    """Return the susceptibility in ppm from a field in ppm by truncated k-space division (Shmueli et al. 2009)."""
    kernel = dipole_kernel(tuple(field.shape), voxel_mm, b0_direction, device=field.device)
    limited = torch.where(kernel < 0, -1.0, 1.0) * kernel.abs().clamp(min=threshold)
    return torch.fft.irfftn(torch.fft.rfftn(field) / limited, s=field.shape)


def air_field(mni: torch.Tensor, up: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the field in ppm of the air in sinuses and ear canals, as spheres of +9.4 ppm below the brain.

    Args:
        mni: (..., 3) MNI mm of the wanted points.
        up: (3,) direction of B0 in MNI axes.
        rng: draws the radii.
    """
    field = torch.zeros(mni.shape[:-1])
    for centre, radius in (((0, 42, -44), 12), ((0, 12, -46), 10), ((-58, -25, -48), 8), ((58, -25, -48), 8)):
        offset = mni - torch.tensor(centre, dtype=torch.float32)
        size = radius * float(rng.uniform(0.7, 1.2))
        distance = offset.norm(dim=-1).clamp(min=size)
        cosine = offset @ up / distance
        field += 9.4 / 3 * (size / distance) ** 3 * (3 * cosine**2 - 1)
    return field
