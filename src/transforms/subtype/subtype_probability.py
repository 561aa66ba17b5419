"""Probabilities of the classes of a scan, in the form that MONAI Label reads."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_tensor


class SubtypeProbabilityd(MapTransform):
    """Turn logits (C,) into probabilities, a meta tensor.

    MONAI Label resizes every result to the ``spatial_shape`` of the image, which a list of classes does not have: it
    is taken from the image's meta data.

    Args:
        keys: logits.
        image_key: the image.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, image_key: Hashable = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the logits."""
        out = dict(data)
        image = out.get(self.image_key)
        if isinstance(image, MetaTensor):
            image.meta.pop("spatial_shape", None)
        for key in self.key_iterator(out):
            logits = convert_to_tensor(out[key], track_meta=False).float()
            out[key] = MetaTensor(torch.softmax(logits, dim=0))
        return out
