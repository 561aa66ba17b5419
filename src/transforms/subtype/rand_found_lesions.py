"""Microbleeds as they are found, in the place of the true ones, so that a classifier learns from what it will get."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends

from ...checks import check_between


class RandFoundLesionsd(RandomizableTransform):
    """Take, with a probability, the microbleeds that were found instead of the true ones.

    Args:
        image_key: slices, (C, H, W, D), of which the last channel has the true microbleeds.
        found_key: those that were found, (1, H, W, D); taken away. Without it, the item stays as it is. With them
            ``found_chance`` replaces ``chance``, see :class:`csvd.inferers.SliceBagd`.
        prob: of taking them. Defaults to 0.5.

    Raises:
        ValueError: ``prob`` lies outside [0, 1].
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, image_key: Hashable = "image", found_key: Hashable = "found", prob: float = 0.5) -> None:
        check_between("prob", prob, 0, 1)
        super().__init__(prob)
        self.image_key = image_key
        self.found_key = found_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return the item without ``found_key``, changed or not."""
        out = dict(data)
        self.randomize(None)
        found, chance = out.pop(self.found_key, None), out.pop("found_chance", None)
        if found is not None and self._do_transform:
            out[self.image_key] = torch.cat([out[self.image_key][:-1], found])
            if chance is not None:
                out["chance"] = chance
        return out
