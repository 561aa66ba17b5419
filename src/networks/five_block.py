"""Network on slices that tells candidates that are microbleeds from those that are not."""

import torch
from torch import nn
from torchvision.models.vgg import make_layers

CONVOLUTIONS = (2, 2, 3, 3, 3)
WIDTHS = (1, 2, 4, 8, 8)
NEIGHBOURS = 1


class FiveBlockCNN(nn.Module):
    """Five blocks of two or three convolutions with batch normalisation, then pooling; one hidden dense layer [1]_.

    The blocks are those of VGG-16. The input is the middle slice of a patch with its two neighbours, as three channels,
    so that weights trained on RGB images fit.

    Args:
        features: of the first block. Defaults to 64, as VGG-16.
        hidden: nodes of the dense layer. Defaults to 512.
        dropout: before the output. Defaults to 0.5.
        weights: file with the state of torchvision's ``vgg16_bn``, whose blocks it starts from, a copy with
            ``features`` 64. Random when not given.

    Raises:
        OSError, KeyError, RuntimeError: the file is missing, or is of another network.

    References:
        .. [1] Vaish et al., Identification of cerebral micro-bleeds using CNN, student report.
    """

    def __init__(self, features: int = 64, hidden: int = 512, dropout: float = 0.5, weights: str | None = None) -> None:
        super().__init__()
        blocks = zip(CONVOLUTIONS, WIDTHS, strict=True)
        self.features = make_layers(
            [layer for count, width in blocks for layer in [*[features * width] * count, "M"]], batch_norm=True
        )
        if weights is not None:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self.features.load_state_dict({name: state[f"features.{name}"] for name in self.features.state_dict()})
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(features * WIDTHS[-1], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2)
        )

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, 2), not a microbleed and microbleed, of patches (N, C, h, w, d), first channel alone.

        ``h`` and ``w`` are at least 32 voxels, ``d`` at least 3.
        """
        middle = patch.shape[-1] // 2
        slices = patch[:, 0, :, :, middle - NEIGHBOURS : middle + NEIGHBOURS + 1].movedim(-1, 1)
        return self.dense(self.pool(self.features(slices)))

    def classify(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the same: the name that the discriminators of the cascade share."""
        return self(patch)
