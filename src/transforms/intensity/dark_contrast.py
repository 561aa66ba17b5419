"""One look for all contrasts: microbleeds darker than tissue, whose median is 1."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import InputError, check_one_of, describe
from .contrast import CONTRASTS, item_contrast, note_contrast

SPREADS = 8.0
"""Spreads of tissue above its median at which a susceptibility becomes 0, as black as a microbleed on SWI."""
BRIGHTEST = 8.0


def dark_contrast(image: torch.Tensor, mask: torch.Tensor, contrast: str = "dark") -> torch.Tensor:
    """Return ``image`` over the median of its brain, or ``1 - (image - median) / (8 * spread)`` of a QSM, from 0 to 8.

    The spread is half of what lies between the 16 and 84 percentiles of the brain: no unit and no scale of a QSM
    changes the result.

    Args:
        image: of any shape and unit.
        mask: brain, bool of the same shape.
        contrast: "dark" for SWI and T2*-weighted magnitude, "bright" for QSM.

    Raises:
        ValueError: ``contrast`` is neither, or the mask is empty.
        InputError: the brain has no contrast to scale by, or is not above 0 where microbleeds are dark.
    """
    check_one_of("contrast", contrast, CONTRASTS)
    values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    voxels = values[convert_to_tensor(mask, track_meta=False)]
    if not voxels.numel() or not voxels.isfinite().all():
        raise ValueError(f"cannot scale {describe(image)}: its brain must have voxels, and finite ones.")
    # NumPy, because torch.quantile refuses more than 16 million values.
    low, middle, high = (float(value) for value in np.percentile(voxels.numpy(force=True), (16, 50, 84)))
    scale = middle if contrast == "dark" else SPREADS * (high - low) / 2
    if not scale > 0:
        raise InputError(
            f"cannot scale {describe(image)}: its brain has median {middle:.4g} and spread {high - low:.4g}, that of a "
            "magnitude must be above 0. Give the scan as the scanner made it, or check contrast and mask."
        )
    result = values / scale if contrast == "dark" else 1 - (values - middle) / scale
    return result.clamp(0, BRIGHTEST)


class DarkContrast(Transform):
    """Make a scan (1, H, W, D) relative to its tissue, microbleeds dark; see :func:`dark_contrast`.

    An image that does not look like ``contrast`` is a warning, and an item of its ``meta["warnings"]``.

    Args:
        contrast: "dark" for SWI and T2*-weighted magnitude, "bright" for QSM.

    Raises:
        ValueError: ``contrast`` is neither.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, contrast: str = "dark") -> None:
        check_one_of("contrast", contrast, CONTRASTS)
        self.contrast = contrast

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Return float32 of the shape of ``image``; ``mask`` is of the same shape, non-zero in the brain."""
        result = convert_to_dst_type(dark_contrast(image, mask > 0, self.contrast), image, dtype=torch.float32)[0]
        note_contrast(result, image, mask, self.contrast)
        return result


class DarkContrastd(MapTransform):
    """Dictionary version of :class:`DarkContrast`: same argument, plus the keys to act on.

    Args:
        contrast_key: contrast of the item, which wins over ``contrast``.
        mask_key: brain mask.
    """

    backend = DarkContrast.backend

    def __init__(
        self,
        keys: KeysCollection,
        contrast: str = "dark",
        contrast_key: Hashable = "contrast",
        mask_key: Hashable = "mask",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_one_of("contrast", contrast, CONTRASTS)
        self.contrast, self.contrast_key, self.mask_key = contrast, contrast_key, mask_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the images relative to their tissue."""
        out = dict(data)
        for key in self.key_iterator(out):
            contrast = item_contrast(out, out[key], self.contrast_key, self.contrast)
            out[key] = DarkContrast(contrast)(out[key], out[self.mask_key])
        return out
