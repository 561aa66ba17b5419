"""Student of the cascade: tells candidates that are microbleeds from those that are not."""

from collections.abc import Sequence

import torch
from torch import nn

from .classifier_arm import ClassifierArm
from .shallow_unet import Layer, ShallowEncoder, truncated_normal_


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
    ) -> None:
        super().__init__()
        self.encoder = ShallowEncoder(in_channels, features, projected, strides, act, norm)
        size = deepest_size(patch_size, self.encoder)
        self.classifier = ClassifierArm(self.encoder.out_channels, size, dropout=dropout, act=act, norm=norm)
        self.apply(truncated_normal_)

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, 2), not a microbleed and microbleed, of patches (B, in_channels, H, W, D)."""
        return self.classify(patch)

    def classify(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the same: the name that the discriminators of the cascade share."""
        return self.classifier(self.encoder(patch)[-1])[0]

    def embed(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the activations (B, 32) of the last fully connected layer, FC-32 of the paper's figure 7."""
        return self.classifier(self.encoder(patch)[-1])[1]
