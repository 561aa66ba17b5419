"""Network that says whether the dark focus in the middle of five slices is a microbleed."""

import torch
from torch import nn
from torch.nn.functional import leaky_relu, max_pool2d

PIXEL_MM = 0.45
RINGS_MM = ((0.0, 0.7), (0.7, 1.6), (1.6, 3.0), (3.0, 5.0), (5.0, 8.0))
"""Radii between which the slice in the middle is averaged: what a reader compares."""
LOWEST_MEDIAN = 0.05
CONTRAST = 2.5  # values are clipped at 1 / 2.5 above and below the median


def block(channels: int, out: int, norm: bool = True) -> nn.Sequential:
    """Return two 3 x 3 convolutions, with group norm."""
    layers: list[nn.Module] = []
    for first in (channels, out):
        layers += [
            nn.Conv2d(first, out, 3, padding=1, bias=not norm),
            nn.GroupNorm(4, out) if norm else nn.Identity(),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    return nn.Sequential(*layers)


class PatchClassifier(nn.Module):
    """2.5-D classifier of patches that :func:`csvd.transforms.context_patches` cuts out.

    A patch is normalised by its own median, so that neither bright fluid nor dark air moves it: what is learned on one
    contrast curve holds on another. Beside the features of the slices, the last layers see the local spread, the ratio
    of the middle to rings around it, and that difference over the spread (contrast to noise), in three slices.

    Args:
        features: of the first stage.
        dropout: before the last layer.
        slices: channels of a patch.
    """

    rings: torch.Tensor

    def __init__(self, features: int = 32, dropout: float = 0.2, slices: int = 5) -> None:
        super().__init__()
        f = features
        self.lowest, self.gain = LOWEST_MEDIAN, CONTRAST  # TorchScript reads no global values
        self.stem = nn.Conv2d(slices, f // 2, 3, padding=1)
        # Where the slices are still fine, norms would take half of the time; the patch is normalised already.
        self.fine, self.middle, self.coarse = block(f // 2, f, norm=False), block(f, 2 * f), block(2 * f, 3 * f)
        scalars = 3 * (2 * len(RINGS_MM) + 1)
        self.head = nn.Sequential(
            nn.Linear(9 * f + scalars, 96), nn.LeakyReLU(0.1), nn.Dropout(dropout), nn.Linear(96, 1)
        )
        self.register_buffer("rings", ring_weights(), persistent=False)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the log-odds (N,) that the middle of patches (N, 5, 48, 48), of any scale, is a microbleed."""
        middle_slice = patches[:, 2].flatten(1)
        lower = middle_slice.topk((middle_slice.shape[1] + 1) // 2, dim=1, largest=False).values  # ONNX has no median
        median = lower.amax(dim=1).clamp(min=self.lowest).view(-1, 1, 1, 1)
        relative = patches / median - 1
        scalars = self.compare(relative[:, 1:4])
        x = max_pool2d(
            leaky_relu(self.stem((self.gain * relative).clamp(-self.gain, self.gain)), 0.1), 2
        )  # (N, _, 24, 24)
        fine = self.fine(x)
        middle = self.middle(max_pool2d(fine, 2))  # (N, _, 12, 12)
        coarse = self.coarse(max_pool2d(middle, 2))  # (N, _, 6, 6)
        summary = [
            fine[:, :, 10:14, 10:14].amax((2, 3)),
            middle[:, :, 5:7, 5:7].amax((2, 3)),
            coarse[:, :, 2:4, 2:4].mean((2, 3)),
            coarse.mean((2, 3)),
            scalars.to(fine.dtype),
        ]
        return self.head(torch.cat(summary, dim=1))[:, 0]

    def compare(self, relative: torch.Tensor) -> torch.Tensor:
        """Return ratios, contrasts to noise and spread of three slices, (N, 33), of (N, 3, 48, 48)."""
        clipped = relative.float().clamp(-1, 1).flatten(2)
        mean = clipped @ self.rings.T  # (N, 3, rings)
        square = clipped.square() @ self.rings.T
        spread = (square[..., 2:4].mean(-1) - mean[..., 2:4].mean(-1).square()).clamp(min=1e-4).sqrt()  # (N, 3)
        contrast = (mean - mean[..., :1]) / spread[..., None]
        return torch.cat([mean, contrast.clamp(-8, 8) / 4, spread.log()[..., None] / 2 + 1], dim=2).flatten(1)


def ring_weights(size: int = 48) -> torch.Tensor:
    """Return the weights of :data:`RINGS_MM` about voxel ``size // 2``, (rings, size * size), each of sum 1."""
    axis = (torch.arange(size) - size // 2) * PIXEL_MM
    distance = (axis[:, None].square() + axis.square()).sqrt().flatten()
    rings = torch.stack([((distance >= low) & (distance < high)).float() for low, high in RINGS_MM])
    return rings / rings.sum(dim=1, keepdim=True)
