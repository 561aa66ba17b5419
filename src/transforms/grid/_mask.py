"""Where the brain is: the mask, or the non-zero voxels when there is none."""

import torch
from monai.utils import convert_to_tensor

from ...checks import check_same_shape


def inside_of(image: torch.Tensor, mask: torch.Tensor | None, action: str) -> torch.Tensor:
    """Return a Boolean tensor, shape of the channel-first ``image``: the brain voxels of each channel.

    Args:
        image: (C, H, W[, D]) tensor. Without a mask, zero means outside the brain.
        mask: (1 or C, H, W[, D]) tensor, non-zero in the brain.
        action: verb for the error message, for example ``"normalise"``.

    Raises:
        ValueError: the spatial shapes of image and mask differ.
    """
    values = convert_to_tensor(image, track_meta=False)
    if mask is None:
        return values != 0
    check_same_shape(image, mask, action)
    return (convert_to_tensor(mask, track_meta=False) != 0).expand(values.shape)
