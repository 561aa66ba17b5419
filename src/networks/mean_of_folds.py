"""Networks of several folds as one discriminator."""

from copy import deepcopy
from typing import Any, cast

import torch
from torch import nn


class MeanOfFolds(nn.Module):
    """The mean likelihood of networks of one kind, each trained without another part of the subjects [1]_.

    Args:
        network: a discriminator, for example :class:`csvd.networks.ResidualPatchClassifier`; all are copies of it until
            their weights are loaded.
        folds: how many.

    Attributes:
        folds: the networks.

    References:
        .. [1] Chen et al., J. Digit. Imaging 32, 2019. https://doi.org/10.1007/s10278-018-0146-z
    """

    def __init__(self, network: nn.Module, folds: int = 5) -> None:
        super().__init__()
        self.folds = nn.ModuleList(deepcopy(network) for _ in range(folds))

    def classify(self, patch: torch.Tensor) -> torch.Tensor:
        """Return the log of the mean probabilities (N, 2) of patches (N, C, h, w, d), whose difference is log-odds."""
        probabilities = torch.stack(
            [cast(Any, network).classify(patch).float().softmax(dim=1) for network in self.folds]
        )
        return probabilities.mean(dim=0).clamp(min=1e-12).log()
