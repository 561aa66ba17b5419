"""Intensity inversion: make microbleeds bright on images where they are dark."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import InputError, check_one_of, describe
from ..grid._mask import inside_of
from .contrast import CONTRASTS, item_contrast, note_contrast


def invert_intensity(image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Return ``1 - image / maximum`` in the brain and 0 outside, each channel by its own maximum, as in [1]_.

    The maximum is the true one, as in the paper: the map stays linear, and the percentile normalisation that follows
    takes away what a single bright voxel does to the scale.

    Args:
        image: (C, H, W[, D]) tensor, not modified.
        mask: (1 or C, H, W[, D]) tensor, non-zero in the brain. Without it, the non-zero voxels are the brain.

    Returns:
        Tensor of the shape of ``image``, float32.

    Raises:
        InputError: the shape of the mask is another, or the maximum in the brain is not a number above 0.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023. https://doi.org/10.3389/fninf.2023.1204186
    """
    inside = inside_of(image, mask, "invert")
    values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    maximum = values.where(inside, -torch.inf).flatten(1).amax(dim=1)
    if not ((maximum > 0) & maximum.isfinite()).all():
        raise InputError(
            f"cannot invert {describe(image)}: its maximum in the brain must be a number above 0, "
            f"it is {maximum.min():.4g}."
        )
    result = 1 - values / maximum.view(-1, *[1] * (values.ndim - 1))
    return convert_to_dst_type(result.where(inside, 0), image, dtype=torch.float32)[0]


class InvertIntensity(Transform):
    """Make microbleeds bright; what is outside the brain becomes 0.

    An image that does not look like its stated contrast is used all the same, with a warning, which is also added to
    the list ``meta["warnings"]``; see :func:`csvd.transforms.intensity.contrast.contrast_warning`.

    Args:
        contrast: "dark" for SWI and T2*-weighted magnitude, which are inverted; "bright" for QSM, which is left alone.

    Raises:
        ValueError: ``contrast`` is neither.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, contrast: str = "dark") -> None:
        check_one_of("contrast", contrast, CONTRASTS)
        self.contrast = contrast

    def __call__(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (C, H, W, D) to float32 of the same shape; without a mask, the non-zero voxels are the brain."""
        if self.contrast == "dark":
            result = invert_intensity(image, mask)
        else:
            values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
            result = convert_to_dst_type(values.where(inside_of(image, mask, "mask"), 0), image, dtype=torch.float32)[0]
        note_contrast(result, image, mask, self.contrast)
        return result


class InvertIntensityd(MapTransform):
    """Dictionary version of :class:`InvertIntensity`: same argument, plus the keys to act on.

    Args:
        contrast_key: contrast of the item, which wins over ``contrast``.
        mask_key: brain mask, used when the item has one.
    """

    backend = InvertIntensity.backend

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
        self.contrast = contrast
        self.contrast_key = contrast_key
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with microbleeds bright in the images of ``keys``."""
        out = dict(data)
        for key in self.key_iterator(out):
            contrast = item_contrast(out, out[key], self.contrast_key, self.contrast)
            out[key] = InvertIntensity(contrast)(out[key], out.get(self.mask_key))
        return out
