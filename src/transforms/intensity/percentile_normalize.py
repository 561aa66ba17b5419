"""Percentile normalisation: map two intensity percentiles of the brain to 0 and 1."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import InputError, check_between, describe
from ..grid._mask import inside_of


def percentile_normalize(
    image: torch.Tensor, lower: float | None, upper: float, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """Return ``(image - low) / (high - low)``, where low and high are percentiles of the brain voxels.

    Args:
        image: tensor of any shape, not modified.
        lower: percentile mapped to 0, in percent. ``None`` keeps 0 where it is: the image is only divided.
        upper: percentile mapped to 1, in percent.
        inside: Boolean tensor of the shape of ``image``, the brain. Without it, the non-zero voxels count.

    Returns:
        Tensor of the shape of ``image``, float32, not clipped, 0 outside ``inside``.

    Raises:
        InputError: the brain voxels are fewer than two, not finite, or have no range between the percentiles.
    """
    values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    voxels = values[values != 0 if inside is None else inside]
    if voxels.numel() < 2 or not voxels.isfinite().all():
        raise InputError(f"cannot normalise {describe(image)}: it needs at least two finite, non-zero voxels.")
    # NumPy, because torch.quantile refuses more than 16 million values.
    low, high = np.percentile(voxels.numpy(force=True), (0 if lower is None else lower, upper))
    low = low if lower is not None else 0.0
    if not low < high:
        raise InputError(
            f"cannot normalise {describe(image)}: {'0' if lower is None else f'its {lower} percentile'} must be below "
            f"its {upper} percentile, they are {low:.4g} and {high:.4g}. Check that the volume is not constant."
        )
    result = (values - float(low)) / float(high - low)
    return convert_to_dst_type(result if inside is None else result.where(inside, 0), image, dtype=torch.float32)[0]


class PercentileNormalize(Transform):
    """Normalise a channel-first image, each channel by its own percentiles.

    Args:
        lower: percentile mapped to 0, in percent. Defaults to 0.5, as in nnU-Net [1]_. ``None`` with ``upper=99.5``
            divides by the 99.5th percentile, as [2]_ does.
        upper: percentile mapped to 1, in percent. Defaults to 99.5.

    Raises:
        ValueError: a percentile lies outside [0, 100], or ``lower`` is not below ``upper``.

    References:
        .. [1] Isensee et al., Nature Methods 2021. https://doi.org/10.1038/s41592-020-01008-z
        .. [2] Wang et al., BioMed. Eng. OnLine 2023. https://doi.org/10.1186/s12938-023-01164-1
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, lower: float | None = 0.5, upper: float = 99.5) -> None:
        check_between("upper", upper, 0, 100)
        if lower is not None:
            check_between("lower", lower, 0, 100)
            if lower >= upper:
                raise ValueError(f"`lower` must be below `upper`, got {lower!r} and {upper!r}.")
        self.lower = lower
        self.upper = upper

    def __call__(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (C, H, W[, D]) to float32 of the same shape.

        With a mask, (1 or C, H, W[, D]), the percentiles are those of its voxels, zeros included, and the result is 0
        outside. Without one, the percentiles are those of the non-zero voxels.
        """
        insides = [None] * len(image) if mask is None else inside_of(image, mask, "normalise")
        channels = zip(image, insides, strict=True)
        return torch.stack(
            [percentile_normalize(channel, self.lower, self.upper, inside) for channel, inside in channels]
        )


class PercentileNormalized(MapTransform):
    """Dictionary version of :class:`PercentileNormalize`: same arguments, plus the keys to act on.

    Args:
        mask_key: brain mask, used when the item has one.
    """

    backend = PercentileNormalize.backend

    def __init__(
        self,
        keys: KeysCollection,
        lower: float | None = 0.5,
        upper: float = 99.5,
        mask_key: Hashable = "mask",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.normalize = PercentileNormalize(lower, upper)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the images of ``keys`` normalised."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.normalize(out[key], out.get(self.mask_key))
        return out
