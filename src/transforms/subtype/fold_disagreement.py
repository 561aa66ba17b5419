"""How far the members of an ensemble are apart."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_tensor


class FoldDisagreementd(MapTransform):
    """Give the standard deviation, over networks, of the probability of the class that is likeliest on average.

    Args:
        keys: probabilities (C,) of the networks, at least two.
        output_key: gets the standard deviation, a scalar.

    Raises:
        ValueError: fewer than two keys.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, keys: KeysCollection, output_key: Hashable = "disagreement", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) < 2:
            raise ValueError(f"`keys` must name at least two networks, got {self.keys!r}.")
        self.output_key = output_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return the item with it."""
        probabilities = torch.stack(
            [convert_to_tensor(data[key], track_meta=False) for key in self.key_iterator(data)]
        )  # (K, C)
        return {**data, self.output_key: probabilities[:, probabilities.mean(dim=0).argmax()].std()}
