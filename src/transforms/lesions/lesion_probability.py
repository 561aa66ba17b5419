"""Probability of a microbleed from a network's logits."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends


def lesion_probability(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax probability (1, H, W[, D]) of class 1 of logits (2, H, W[, D]), background first."""
    return logits.float().softmax(dim=0)[1:2]


class LesionProbability(Transform):
    """Turn the logits of background and microbleed into the probability of a microbleed."""

    backend = [TransformBackends.TORCH]

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Map (2, H, W[, D]) to (1, H, W[, D])."""
        return lesion_probability(logits)


class LesionProbabilityd(MapTransform):
    """Dictionary version of :class:`LesionProbability`."""

    backend = LesionProbability.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.probability = LesionProbability()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Replace the logits under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.probability(out[key])
        return out
