"""Residual network that tells candidates that are microbleeds from those that are not."""

from collections.abc import Sequence

import torch
from monai.networks.nets import ResNet
from torch import nn


class StridedStage(nn.Sequential):
    """Layers of which the first is strided, in single precision where they leave one voxel along the last axis.

    There, a strided convolution in bfloat16 reads memory that is not its own on processors with AMX (PyTorch 2.12), and
    what it returns is soon no number.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the layers make of features (N, C, h, w, d)."""
        if x.shape[-1] > 2:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class ResidualPatchClassifier(ResNet):
    """MONAI's 3-D residual network with a stem that keeps the resolution, for patches around candidates [1]_ [2]_.

    The papers do not give the sizes. With the default arguments it has 898 274 parameters.

    Args:
        in_channels: channels of the input. Defaults to 2, the scan and its radial symmetry.
        features: of the first of four stages; each later one has twice as many at half the resolution.
        layers: residual blocks of each stage.

    References:
        .. [1] Chen et al., J. Digit. Imaging 32, 2019. https://doi.org/10.1007/s10278-018-0146-z
        .. [2] Chen et al., Proc. ISMRM 27, 2019, abstract 0671.
    """

    def __init__(self, in_channels: int = 2, features: int = 16, layers: Sequence[int] = (1, 1, 1, 1)) -> None:
        super().__init__(
            block="basic",
            layers=list(layers),
            block_inplanes=[features * 2**stage for stage in range(4)],
            n_input_channels=in_channels,
            conv1_t_size=3,
            no_max_pool=True,
            num_classes=2,
        )
        self.layer2, self.layer3, self.layer4 = (
            StridedStage(*stage) for stage in (self.layer2, self.layer3, self.layer4)
        )

    def classify(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, 2), not a microbleed and microbleed, of patches (N, in_channels, h, w, d)."""
        return self(patch)
