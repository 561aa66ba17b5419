"""No subtype for a scan without a microbleed."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_tensor

REASON = "no microbleed was found or given, and the classes are kinds of microbleed disease"


class NotApplicabled(MapTransform):
    """Add "not applicable" to the classes of a scan: 1, and the others 0, where it has no microbleed.

    The classes are those of the training, and a network gives one of them to everybody. MONAI Label shows what it gets
    as a list, in which this is one more entry.

    Args:
        keys: probabilities (C,), which become (C + 1,).
        lesions_key: microbleeds (1, H, W, D), above 0 in each.
        reason_key: gets why no class is given; an empty text where one is. Defaults to "reason".
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        lesions_key: Hashable = "lesions",
        reason_key: Hashable = "reason",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.lesions_key = lesions_key
        self.reason_key = reason_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with both."""
        out = dict(data)
        applies = bool((out[self.lesions_key] > 0).any())
        for key in self.key_iterator(out):
            probability = convert_to_tensor(out[key], track_meta=False)
            other = probability.new_tensor([not applies])
            out[key] = MetaTensor(torch.cat([probability * applies, other]))
        out[self.reason_key] = "" if applies else REASON
        return out
