"""Leave out some of the microbleeds, as scans with fewer have them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends

from ..lesions.lesion_instances import lesion_instances


class RandMissLesionsd(RandomizableTransform):
    """Leave out a random share of the microbleeds of slices; one stays at least.

    Which class has its microbleeds where does not depend on how many of them are left, so that one subject with many
    stands for many subjects with few. In use some are missed as well.

    Args:
        image_key: slices, (C, H, W, D), of which the last channel has the microbleeds, 26-connected clusters above 0.
        prob: of leaving some out. Defaults to 0.5.

    Raises:
        ValueError: ``prob`` lies outside [0, 1].
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, image_key: Hashable = "image", prob: float = 0.5) -> None:
        super().__init__(prob)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return the item, changed or not."""
        out = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return out
        image = out[self.image_key]
        numbers = lesion_instances((image[-1:] > 0).float(), 0.5)
        count = int(numbers.max())
        stays = torch.from_numpy(self.R.random(count + 1) < self.R.random())
        stays[0], stays[self.R.randint(1, count + 1) if count else 0] = False, True
        out[self.image_key] = torch.cat([image[:-1], image[-1:] * stays.to(image.device)[numbers.long()]])
        return out
