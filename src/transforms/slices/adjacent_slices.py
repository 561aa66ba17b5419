"""Slices with their neighbours as channels."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_tensor
from torch.nn.functional import pad

from ...checks import check_positive


def adjacent_slices(image: torch.Tensor, neighbours: int = 1) -> torch.Tensor:
    """Return each slice of (1, H, W, D) with its neighbours as channels: (D, 1 + 2 ``neighbours``, H, W).

    The first and the last slice stand in for those that lie outside.

    Args:
        image: one channel.
        neighbours: slices on each side.

    Raises:
        ValueError: ``image`` has other dimensions or more than one channel.
    """
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"cannot take slices of an image of shape {tuple(image.shape)}: it must be (1, H, W, D).")
    slices = convert_to_tensor(image, track_meta=False)[0]
    padded = pad(slices[None], (neighbours, neighbours, 0, 0, 0, 0), mode="replicate")[0]
    return padded.unfold(2, 1 + 2 * neighbours, 1).permute(2, 3, 0, 1)


class AdjacentSlices(Transform):
    """Slices as images whose channels are the slice and its neighbours, as 2.5-D networks take them [1]_.

    Args:
        neighbours: slices on each side. Defaults to 1, as in the paper.

    Raises:
        ValueError: ``neighbours`` is not positive.

    References:
        .. [1] Wang et al., BioMedical Engineering OnLine 2023. https://doi.org/10.1186/s12938-023-01164-1
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, neighbours: int = 1) -> None:
        check_positive("neighbours", neighbours)
        self.neighbours = neighbours

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Map (1, H, W, D) to (D, channels, H, W)."""
        return adjacent_slices(image, self.neighbours)


class AdjacentSlicesd(MapTransform):
    """Dictionary version of :class:`AdjacentSlices`: same arguments, plus the keys to act on."""

    backend = AdjacentSlices.backend

    def __init__(self, keys: KeysCollection, neighbours: int = 1, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slices = AdjacentSlices(neighbours)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the keys cut into slices."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.slices(result[key])
        return result
