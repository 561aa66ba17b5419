"""Relative susceptibility from a phase image, and which way the scanner counted phases."""

import torch
from scipy.fft import next_fast_len

from ...checks import check_same_shape

HIGH_PASS_MM = 2.0  # standard deviation; larger ones let through more of the field of the air
LEAST_DIPOLE = 0.2  # threshold of the k-space division, as in Shmueli et al. 2009
LIMIT_RAD = 0.3  # beyond which phase counts little: what wraps beside a strong lesion has either sign
STRONG_SHARE = 0.003  # of the brain's voxels: the largest veins
BLOCK_MM = 20.0  # beyond which veins count as independent
INNER = 0.97  # of what the high pass averages over must be brain


def relative_susceptibility(phase: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Return a map whose contrast over a few mm is proportional to susceptibility, (H, W, D), up to one sign.

    Phase is taken as ``exp(i phase)``, so wraps do not matter, and divided by its low-passed self (homodyne); whether
    the scanner has filtered before matters little. What is left is limited smoothly to 0.3 rad, which measured better
    than none, and divided by the dipole in k-space, truncated [1]_.

    Args:
        phase: (H, W, D) radians.
        mask: (H, W, D) bool, the brain; what lies outside is not used.
        affine: (4, 4), voxel to RAS mm. The field lies along the world's z axis, that of the scanner's tube.

    Raises:
        ValueError: the shapes differ.

    References:
        .. [1] Shmueli et al., Magn. Reson. Med. 2009. https://doi.org/10.1002/mrm.22135
    """
    check_same_shape(phase[None], mask[None], "compute the susceptibility of")
    signal = torch.polar(mask.float(), phase.float())
    local = ((signal * smooth(signal, affine).conj()).angle() / LIMIT_RAD).tanh() * mask
    shape = _padded(local.shape, affine)
    along, square = _frequencies(shape, affine)
    dipole = 1 / 3 - along.square() / square.clamp(min=1e-12)
    limited = torch.where(dipole < 0, -1.0, 1.0) * dipole.abs().clamp(min=LEAST_DIPOLE)
    return _cropped(torch.fft.ifftn(torch.fft.fftn(local, s=shape) / limited).real, local.shape)


def phase_convention(chi: torch.Tensor, tissue: torch.Tensor, affine: torch.Tensor) -> float:
    """Return by how many standard deviations the strongest voxels of a brain are rather positive (or negative).

    What is strongest in a brain are veins and iron, which are paramagnetic: with :func:`relative_susceptibility` a
    positive answer says that phases grow with the field, a negative one that they fall. Voxels of the same block of
    20 mm count together, so that one vein is no crowd.

    Args:
        chi: (H, W, D), result of :func:`relative_susceptibility`.
        tissue: (H, W, D) bool, brain without lesions, which may be calcifications; its rim is left out.
        affine: (4, 4), voxel to RAS mm.
    """
    inner = smooth(tissue.float(), affine) > INNER
    index = inner.nonzero()
    if not len(index):
        return 0.0
    values = chi[inner] - chi[inner].median()
    strong = values.abs().topk(max(1, int(STRONG_SHARE * len(values)))).indices
    block = (index[strong].double() @ affine[:3, :3].T / BLOCK_MM).floor()
    _, number = block.unique(dim=0, return_inverse=True)
    balance = torch.zeros(int(number.max()) + 1).index_add(0, number, values[strong].sign())
    return float(balance.sum() / balance.square().sum().sqrt().clamp(min=1e-6))


def smooth(volume: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Smooth a real or complex volume (H, W, D) by a Gaussian of 2 mm, whatever its grid; outside of it is 0."""
    shape = _padded(volume.shape, affine)
    _, square = _frequencies(shape, affine)
    window = torch.exp(-2 * torch.pi**2 * HIGH_PASS_MM**2 * square)
    result = _cropped(torch.fft.ifftn(torch.fft.fftn(volume, s=shape) * window), volume.shape)
    return result if volume.is_complex() else result.real


def _padded(shape: torch.Size, affine: torch.Tensor) -> tuple[int, ...]:
    """Return a size that the FFT likes, with room for the reach of the filters."""
    room = (4 * HIGH_PASS_MM / affine[:3, :3].norm(dim=0)).ceil().int().tolist()
    return tuple(next_fast_len(size + extra) for size, extra in zip(shape, room, strict=True))


def _cropped(volume: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return volume[: shape[0], : shape[1], : shape[2]]


def _frequencies(shape: tuple[int, ...], affine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the frequency along the world's z axis and the squared norm of each, in cycles per mm, of ``fftn``."""
    to_world = torch.linalg.inv(affine[:3, :3].double()).T.float()
    views = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    axes = [torch.fft.fftfreq(size).view(view) for size, view in zip(shape, views, strict=True)]
    x, y, z = (sum(weight * axis for weight, axis in zip(row, axes, strict=True)) for row in to_world)
    return z, x**2 + y**2 + z**2
