"""Student of the cascade: tells candidates that are microbleeds from those that are not."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import grid_sample

from .classifier_arm import ClassifierArm
from .shallow_unet import Layer, ShallowEncoder, truncated_normal_

PLACES = (10, 24, 20)  # cells from the middle to either side, from back to front and from bottom to top of a brain
PLACE_GAIN = 10  # few candidates lie in each cell: they learn faster than the other weights


def deepest_size(patch_size: Sequence[int], encoder: ShallowEncoder) -> tuple[int, ...]:
    """Return the voxels of the encoder's deepest features for patches of ``patch_size``.

    Raises:
        ValueError: the size is not divisible by the encoder's poolings.
    """
    if any(size % stride for size, stride in zip(patch_size, encoder.stride, strict=True)):
        raise ValueError(f"`patch_size` must be divisible by {encoder.stride}, got {tuple(patch_size)}.")
    return tuple(size // stride for size, stride in zip(patch_size, encoder.stride, strict=True))


class StudentClassifier(nn.Module):
    """Encoder and patch classifier, of the teacher's architecture without the segmentor [1]_.

    With the default arguments it has 14 256 811 parameters.

    Args:
        in_channels: channels of the input. Defaults to 2, the scan and its radial symmetry.
        patch_size: voxels of the patches. Defaults to 24 x 24 x 24, as in the paper.
        dropout: of the classifier. Defaults to 0.2, as in the paper.
        features, projected, strides, act, norm: as for :class:`csvd.networks.ShallowUNet`.
        see_position: also learn a map of log-odds over the brain, left and right alike, which is read where a patch
            lies: calcifications of pineal gland and choroid plexus look like microbleeds, but for their place. Not in
            the paper.

    Raises:
        ValueError: ``patch_size`` is too small for two poolings and one more, or not divisible by them.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.2.
    """

    def __init__(
        self,
        in_channels: int = 2,
        patch_size: Sequence[int] = (24, 24, 24),
        features: int = 64,
        projected: int = 3,
        strides: Sequence[Sequence[int]] = ((2, 2, 2), (2, 2, 2)),
        dropout: float = 0.2,
        act: Layer = ("relu", {"inplace": True}),
        norm: Layer = "batch",
        see_position: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = ShallowEncoder(in_channels, features, projected, strides, act, norm)
        size = deepest_size(patch_size, self.encoder)
        self.classifier = ClassifierArm(self.encoder.out_channels, size, dropout=dropout, act=act, norm=norm)
        self.apply(truncated_normal_)
        self.place = nn.Parameter(torch.zeros(PLACES)) if see_position else None

    def forward(self, patch: torch.Tensor, position: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits (B, 2), not a microbleed and microbleed.

        Args:
            patch: (B, in_channels, H, W, D).
            position: (B, 3), from -1 to 1 from right to left, back to front and bottom to top of the brain, see
                :func:`csvd.inferers.relative_position`; for ``see_position`` alone.

        Raises:
            ValueError: ``see_position`` without positions.
        """
        logits = self.classifier(self.encoder(patch)[-1])[0]
        if self.place is None:
            return logits
        if position is None:
            raise ValueError("`see_position` needs `position`: give where in the brain each patch lies.")
        point = torch.cat([2 * position[:, :1].abs() - 1, position[:, 1:]], dim=1)
        odds = grid_sample(
            PLACE_GAIN * self.place[None, None],
            point.flip(1)[None, None, None].to(self.place),  # its last axis first
            padding_mode="border",
            align_corners=True,
        )
        return logits + torch.stack([torch.zeros_like(odds), odds], dim=-1).flatten(0, -2)

    def classify(self, patch: torch.Tensor, position: torch.Tensor | None = None) -> torch.Tensor:
        """Return the same: the name that the discriminators of the cascade share."""
        return self(patch, position)

    def embed(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the activations (B, 32) of the last fully connected layer, FC-32 of the paper's figure 7."""
        return self.classifier(self.encoder(patch)[-1])[1]
