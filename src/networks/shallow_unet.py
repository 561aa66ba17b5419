"""Shallow 3-D U-Net of the first step of the cascade: candidate detection."""

from collections.abc import Sequence
from math import prod

import torch
from monai.networks.nets.basic_unet import TwoConv
from torch import nn

from ..checks import check_positive

Layer = str | tuple[str, dict[str, object]]


def truncated_normal_(module: nn.Module, std: float = 0.05, bias: float = 0.1) -> None:
    """Initialise a convolution or linear layer in place as in Sundaresan et al. 2023, section 2.6."""
    if isinstance(module, nn.Conv3d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.constant_(module.bias, bias)


def two_convolutions(in_channels: int, out_channels: int, act: Layer, norm: Layer) -> TwoConv:
    """Return two 3x3x3 convolutions, each followed by ``norm`` and ``act``, both named as MONAI names layers."""
    return TwoConv(3, in_channels, out_channels, act=act, norm=norm, bias=True)


class ShallowEncoder(nn.Module):
    """Feature extractor of every network of the cascade: three levels, two poolings.

    Args:
        in_channels, features, projected, strides, act, norm: as for :class:`ShallowUNet`.

    Raises:
        ValueError: ``features`` is not positive, or ``strides`` are not two.
    """

    def __init__(
        self, in_channels: int, features: int, projected: int, strides: Sequence[Sequence[int]], act: Layer, norm: Layer
    ) -> None:
        super().__init__()
        check_positive("features", features)
        if len(strides) != 2:
            raise ValueError(f"`strides` must name two poolings, got {strides!r}.")
        self.project = nn.Conv3d(in_channels, projected, kernel_size=1)
        self.level_1 = two_convolutions(projected, features, act, norm)
        self.level_2 = two_convolutions(features, 2 * features, act, norm)
        self.level_3 = two_convolutions(2 * features, 4 * features, act, norm)
        self.pool_1, self.pool_2 = (nn.MaxPool3d(tuple(stride)) for stride in strides)
        self.out_channels = 4 * features
        self.stride = tuple(prod(factors) for factors in zip(*strides, strict=True))  # voxels per deepest voxel

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the features of the three levels of (B, in_channels, H, W, D), shapes below for strides of 2."""
        # Channels last is a third faster on CPU, and gives the same bits with any number of threads.
        projected = self.project(image.contiguous(memory_format=torch.channels_last_3d))
        projected = projected.contiguous(memory_format=torch.channels_last_3d)
        fine = self.level_1(projected)  # (B, f, H, W, D)
        middle = self.level_2(self.pool_1(fine))  # (B, 2f, H/2, W/2, D/2)
        return fine, middle, self.level_3(self.pool_2(middle))  # (B, 4f, H/4, W/4, D/4)


class ShallowUNet(nn.Module):
    """U-Net with two poolings, shallow because microbleeds are small and sparse [1]_.

    A 1x1x1 projection, then two 3x3x3 convolutions per level with ``features``, ``2 * features`` and
    ``4 * features`` channels, max-pooling down, trilinear upsampling and a skip connection up, a final 1x1x1
    convolution. With the default arguments it has 5 649 355 parameters.

    Args:
        in_channels: channels of the input. Defaults to 2, the scan and its radial symmetry.
        out_channels: classes, background first. Defaults to 2.
        features: channels of the first level. Defaults to 64, as in the paper.
        projected: channels after the projection. Defaults to 3, as in the paper.
        strides: size of the two poolings, in voxels, per axis. Defaults to 2 x 2 x 2 twice, as in the paper;
            ``((2, 2, 1), (2, 2, 2))`` keeps thick slices apart longer.
        act: activation after each 3x3x3 convolution, as MONAI names layers. Defaults to ReLU.
        norm: normalisation before it. Defaults to batch normalisation; the paper does not name one.

    Raises:
        ValueError: ``features`` is not positive, or ``strides`` are not two.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.2.
           https://doi.org/10.3389/fninf.2023.1204186
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        features: int = 64,
        projected: int = 3,
        strides: Sequence[Sequence[int]] = ((2, 2, 2), (2, 2, 2)),
        act: Layer = ("relu", {"inplace": True}),
        norm: Layer = "batch",
    ) -> None:
        super().__init__()
        self.encoder = ShallowEncoder(in_channels, features, projected, strides, act, norm)
        self.decode_2 = two_convolutions((4 + 2) * features, 2 * features, act, norm)
        self.decode_1 = two_convolutions((2 + 1) * features, features, act, norm)
        self.up_1, self.up_2 = (nn.Upsample(scale_factor=tuple(stride), mode="trilinear") for stride in strides)
        self.classify = nn.Conv3d(features, out_channels, kernel_size=1)
        self.apply(truncated_normal_)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, out_channels, H, W, D) of (B, in_channels, H, W, D).

        Each spatial size must be divisible by the product of its strides (4 by default).
        """
        fine, middle, coarse = self.encoder(image)
        return self.decode(fine, middle, coarse)

    def decode(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, out_channels, H, W, D) of the features of the encoder's three levels."""
        middle = self.decode_2(torch.cat([self.up_2(coarse), middle], dim=1))
        fine = self.decode_1(torch.cat([self.up_1(middle), fine], dim=1))
        return self.classify(fine)
