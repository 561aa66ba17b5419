"""Classifier of a whole scan as a bag of slices, of which attention picks those that matter."""

from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import nn

from ..checks import check_between, check_one_of

BACKBONES = ("resnet18", "resnet34", "resnet50")
POOLS = {"avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}
COVARIATES = ("age", "sex")


class AttentionPooling(nn.Module):
    """Weighted mean of the instances of a bag, with weights that a small network gives [1]_, all alike at the start.

    Args:
        features: of an instance.
        hidden: of the network.
        gated: multiply the hidden features with a learnt gate, equation 9 of the paper, instead of its equation 8.

    References:
        .. [1] Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018.
    """

    def __init__(self, features: int, hidden: int = 128, gated: bool = False) -> None:
        super().__init__()
        self.value = nn.Linear(features, hidden)
        self.gate = nn.Linear(features, hidden) if gated else None
        self.score = nn.Linear(hidden, 1)
        nn.init.zeros_(self.score.weight)

    def forward(self, bag: torch.Tensor, is_real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool (B, N, F) instances, of which ``is_real`` (B, N) marks those that are not padding.

        Returns:
            The pooled bag, (B, F), and the attention weights, (B, N), which sum to 1 over real instances.
        """
        hidden = torch.tanh(self.value(bag))  # (B, N, hidden), eq. (8)
        if self.gate is not None:
            hidden = hidden * torch.sigmoid(self.gate(bag))  # eq. (9)
        score = self.score(hidden).squeeze(-1)  # (B, N)
        weight = score.masked_fill(~is_real, -torch.inf).softmax(dim=1)
        return torch.einsum("bn,bnf->bf", weight, bag), weight


class AttentionMIL(nn.Module):
    """Small-vessel-disease subtype of a scan with its microbleed mask, age and sex [1]_.

    Slices are instances: a residual network turns each, two channels, scan and mask, into a vector; attention pools
    the vectors; age and sex are appended; one linear layer gives the classes. A slice that is all zero is padding and
    does not count, so that scans with different numbers of slices fit into one batch.

    Args:
        num_classes: Defaults to 3: aSVD, CAA, CADASIL.
        in_channels: of a slice. Defaults to 2.
        backbone: "resnet50", the default and the paper's, "resnet34", or "resnet18" for small machines.
        stages: how many of the backbone's four stages there are. Defaults to all; the last has most of the weights.
        features: of a slice. Defaults to 1024, as in the paper.
        pool: "avg", the default and the paper's, or "max" over the pixels of a slice, of which a microbleed has few.
        gated: gated attention. Defaults to plain.
        backbone_weights: file with the state of torchvision's network, trained on RGB images; the new stem starts from
            the mean of its three. Random when not given.

    Raises:
        ValueError: no such backbone, number of stages or way of pooling.
        OSError, RuntimeError: the file is missing, or is of another network.

    References:
        .. [1] Wang et al., BioMedical Engineering OnLine 2023. https://doi.org/10.1186/s12938-023-01164-1
    """

    age_mean: torch.Tensor
    age_std: torch.Tensor
    sex_mean: torch.Tensor

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 2,
        backbone: str = "resnet50",
        stages: int = 4,
        features: int = 1024,
        pool: str = "avg",
        gated: bool = False,
        backbone_weights: str | None = None,
    ) -> None:
        super().__init__()
        check_between("stages", stages, 1, 4)
        check_one_of("pool", pool, POOLS)
        self.backbone = residual_network(backbone, backbone_weights)
        self.backbone.conv1 = stem_for(self.backbone.conv1, in_channels)
        for stage in range(stages + 1, 5):
            setattr(self.backbone, f"layer{stage}", nn.Identity())
        channels = self.backbone.fc.in_features // 2 ** (4 - stages)
        self.backbone.avgpool = POOLS[pool](1)
        self.backbone.fc = nn.Sequential(nn.Linear(channels, features), nn.ReLU())
        self.backbone.to(memory_format=torch.channels_last)  # nearly twice as fast on CPUs
        self.pooling = AttentionPooling(features, gated=gated)
        self.classify = nn.Linear(features + len(COVARIATES), num_classes)
        self.register_buffer("age_mean", torch.tensor(65.0))
        self.register_buffer("age_std", torch.tensor(12.0))
        self.register_buffer("sex_mean", torch.tensor(0.5))

    def forward(self, image: torch.Tensor, covariates: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits (B, classes) of scans (B, C, H, W, D), see :meth:`attend`."""
        return self.attend(image, covariates)[0]

    def attend(self, image: torch.Tensor, covariates: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (B, classes) of scans (B, C, H, W, D), and the attention (B, D) that each slice gets.

        Args:
            image: D slices each; those that are all zero are padding.
            covariates: (B, 2), age in years and sex, 0 female, 1 male; NaN, or no tensor at all, where it is not
                known: then the mean of the training subjects stands in.
        """
        bag, is_real = self.instances(image)
        return self.answer(bag, is_real, covariates)

    def instances(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features of the slices (B, D, F) of scans (B, C, H, W, D), and which are no padding (B, D)."""
        slices = image.movedim(-1, 1)  # (B, D, C, H, W)
        is_real = real_slices(image)
        features = self.backbone(slices[is_real])  # (real slices of all scans, F)
        bag = features.new_zeros(is_real.shape[0], is_real.shape[1], features.shape[1])
        bag[is_real] = features
        return bag, is_real

    def answer(
        self, bag: torch.Tensor, is_real: torch.Tensor, covariates: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (B, classes) and attention (B, D) from what :meth:`instances` gives; see :meth:`attend`.

        A slice that ``is_real`` does not mark is left out; NaN where it marks none.
        """
        pooled, weight = self.pooling(bag, is_real)
        return self.classify(torch.cat([pooled, self.standardized(covariates, pooled)], dim=1)), weight

    def standardized(self, covariates: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        """Return age and sex (B, 2) around 0, and 0 where they are not known."""
        mean = torch.stack([self.age_mean, self.sex_mean])
        if covariates is None:
            return like.new_zeros(like.shape[0], mean.shape[0])
        spread = torch.stack([self.age_std, torch.ones_like(self.age_std)])
        return ((covariates.to(like) - mean) / spread).nan_to_num(0.0)


def real_slices(image: torch.Tensor) -> torch.Tensor:
    """Return which slices (B, D) of scans (B, C, H, W, D) are no padding: not all zero; of an empty scan, the first."""
    is_real = image.movedim(-1, 1).flatten(2).any(dim=2)
    is_real[:, 0] |= ~is_real.any(dim=1)
    return is_real


def residual_network(backbone: str, weights: str | None) -> torchvision.models.ResNet:
    """Return torchvision's network, one of :data:`BACKBONES`, with the state in a file, or random.

    Raises:
        ValueError: no such backbone.
        OSError, RuntimeError: the file is missing, or is of another network.
    """
    check_one_of("backbone", backbone, BACKBONES)
    network = getattr(torchvision.models, backbone)()
    if weights is not None:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network


def stem_for(stem: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """Return the first convolution for another number of channels, each with the mean of the old channels' weights.

    They are scaled so that an image whose channels are all alike gives what it gave before.
    """
    kind: Mapping[str, Any] = {key: getattr(stem, key) for key in ("kernel_size", "stride", "padding")}
    new = nn.Conv2d(in_channels, stem.out_channels, bias=False, **kind)
    with torch.no_grad():
        new.weight.copy_(stem.weight.sum(dim=1, keepdim=True).expand_as(new.weight) / in_channels)
    return new
