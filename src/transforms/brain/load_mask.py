"""Masks that some items have and others have not."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import LoadImage, MapTransform
from monai.utils import TransformBackends

from ..grid._grid import load_on_grid


class LoadMaskd(MapTransform):
    """Load masks, (1, H, W, D), where an item names one.

    MONAI Label takes every key of a ``LoadImaged`` for given, so that a brain mask that may be missing cannot be one;
    and inside a ``Compose``, which counts as random, nothing after it would be cached.

    Args:
        keys: masks; an item may lack them.
        reader: that of MONAI's ``LoadImage``.
        image_key: the image, loaded, whose grid they have to be on.

    Raises:
        InputError: on call, a mask is not on the grid of its image.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, reader: Any = None, image_key: Hashable = "image") -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.image_key = image_key
        self.load = LoadImage(reader, image_only=True, ensure_channel_first=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its mask."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = load_on_grid(self.load, out[key], out[self.image_key], what=str(key))
        return out
