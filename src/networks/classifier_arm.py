"""Patch classifier on the deepest features of the encoder: T_c of the cascade."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from monai.networks.layers.utils import get_act_layer
from torch import nn

from .shallow_unet import Layer, two_convolutions


class ClassifierArm(nn.Module):
    """Microbleed or not, from the features of a patch [1]_.

    A 1x1x1 projection, two 3x3x3 convolutions, max-pooling, then fully connected layers of 1024, 128 and 32 nodes,
    dropout before the second, and the classes.

    Args:
        in_channels: channels of the features.
        spatial_size: size of the features, in voxels of the deepest level.
        out_channels: classes, background first. Defaults to 2.
        nodes: of the fully connected layers. Defaults to 1024, 128, 32, as in the paper.
        dropout: probability before the second fully connected layer. Defaults to 0.2, as in the paper.
        act, norm: as for :class:`csvd.networks.ShallowUNet`; ``act`` follows the fully connected layers, too.

    Raises:
        ValueError: ``spatial_size`` is too small to be pooled.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.1.
    """

    def __init__(
        self,
        in_channels: int,
        spatial_size: Sequence[int],
        out_channels: int = 2,
        nodes: Sequence[int] = (1024, 128, 32),
        dropout: float = 0.2,
        act: Layer = ("relu", {"inplace": True}),
        norm: Layer = "batch",
    ) -> None:
        super().__init__()
        if min(spatial_size) < 2:
            raise ValueError(f"`spatial_size` must be at least 2 along each axis, got {tuple(spatial_size)}.")
        self.project = nn.Conv3d(in_channels, in_channels, kernel_size=1)
        self.convolve = two_convolutions(in_channels, in_channels, act, norm)
        self.pool = nn.MaxPool3d(2)
        widths = [in_channels * prod(size // 2 for size in spatial_size), *nodes]
        layers = [nn.Sequential(nn.Linear(*pair), get_act_layer(act)) for pair in pairwise(widths)]
        self.embed = nn.Sequential(layers[0], nn.Dropout(dropout), *layers[1:])
        self.classify = nn.Linear(widths[-1], out_channels)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (B, out_channels) and the embedding (B, 32) of features (B, in_channels, h, w, d)."""
        features = self.pool(self.convolve(self.project(features)))
        embedding = self.embed(features.flatten(1))  # FC-32 of the paper
        return self.classify(embedding), embedding
