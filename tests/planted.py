"""A ball of tissue with a little noise, as a brain to plant into."""

import torch


def ball(shape=(64, 64, 12), spacing=(0.9, 0.9, 4.0), noise=0.02, seed=0):
    """Return image (H, W, D) of tissue at 100 in a ball, its mask and its affine."""
    axes = [(torch.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    mm = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    mask = mm.norm(dim=-1) < 0.45 * min(n * s for n, s in zip(shape[:2], spacing[:2], strict=True))
    texture = 1 + noise * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([axis[0] for axis in axes])
    return 100 * texture * mask, mask, affine
