"""No subtype for a scan without a microbleed, or whose microbleeds are probably false."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_tensor

from ..lesions.lesion_instances import lesion_instances

LIKELY = 0.5
"""Lowest probability that at least one microbleed is real, from which a subtype is given."""
NONE = "no microbleed was found or given, and the classes are kinds of microbleed disease"
UNCERTAIN = (
    "the detected microbleeds are uncertain: the probability that at least one of them is real is {chance:.3f}, and "
    f"{LIKELY} is needed for a subtype"
)


def lesion_chance(lesions: torch.Tensor) -> float:
    """Return the probability that a scan has a microbleed, 1 - (1 - p1)(1 - p2)..., from those that were found.

    Args:
        lesions: probability of the microbleeds (1, H, W, D), 0 elsewhere; the highest of each cluster counts.
    """
    values = convert_to_tensor(lesions, track_meta=False).float()
    labels = lesion_instances(values, torch.finfo(torch.float32).tiny)
    highest = values.new_zeros(int(labels.max()) + 1).scatter_reduce(
        0, labels.flatten().long(), values.flatten(), "amax"
    )
    return 1 - float((1 - highest[1:]).prod())


def no_subtype(chance: float) -> str:
    """Return why a scan gets no subtype, from its :func:`lesion_chance`; an empty text where it gets one."""
    if chance == 0:
        return NONE
    return UNCERTAIN.format(chance=chance) if chance < LIKELY else ""


class NotApplicabled(MapTransform):
    """Add "not applicable" to the classes of a scan: 1, and the others 0, where :func:`no_subtype` says so.

    The classes are those of the training, and a network gives one of them to everybody. MONAI Label shows what it gets
    as a list, in which this is one more entry.

    Args:
        keys: probabilities (C,), which become (C + 1,).
        lesions_key: probability of the microbleeds (1, H, W, D), 0 elsewhere.
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
        reason = no_subtype(lesion_chance(out[self.lesions_key]))
        for key in self.key_iterator(out):
            probability = convert_to_tensor(out[key], track_meta=False)
            other = probability.new_tensor([bool(reason)])
            out[key] = MetaTensor(torch.cat([probability * (not reason), other]))
        out[self.reason_key] = reason
        return out
