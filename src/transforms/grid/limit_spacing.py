"""Fewer voxels where a scan is finer than the networks need."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, Spacing
from monai.utils import ensure_tuple_rep

from ...checks import check_positive


class LimitSpacingd(MapTransform, InvertibleTransform):
    """Resample the axes along which voxels are shorter than ``min_pixdim`` to ``pixdim``; leave the others alone.

    Microbleeds are 2 mm and more wide. Finer voxels add noise, candidates and time: a scan of 0.45 x 0.45 x 1 mm has
    three times the voxels of one of 0.8 x 0.8 x 1 mm. Orientation and obliquity stay; MONAI's ``Invertd`` brings
    results back to the scan's grid.

    Voxels of exactly 0, outside a stripped brain, do not count in a mean, so that its surface does not get a dark rim.

    MONAI's ``Spacingd`` would have this rim, and it fails in MONAI Label, whose items have an ``image_path``.

    Args:
        keys: MetaTensors (C, H, W, D).
        pixdim: length of a voxel after resampling, in mm.
        min_pixdim: shortest length in mm that is left alone.
        mode: "bilinear" or "nearest", for each key.
        allow_missing_keys: do not fail when a key is absent.

    Raises:
        ValueError: a length is not positive, or ``min_pixdim`` above ``pixdim``.
    """

    backend = Spacing.backend

    def __init__(
        self,
        keys: KeysCollection,
        pixdim: float,
        min_pixdim: float,
        mode: Sequence[str] | str = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_positive("min_pixdim", min_pixdim)
        if pixdim < min_pixdim:
            raise ValueError(f"`pixdim` must be at least `min_pixdim`, {min_pixdim}, got {pixdim}.")
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.spacing = Spacing([pixdim] * 3, min_pixdim=[min_pixdim] * 3, max_pixdim=[float("inf")] * 3)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the keys resampled."""
        result = dict(data)
        for key, mode in self.key_iterator(result, self.mode):
            resampled = self.spacing(result[key], mode=mode)
            if mode == "bilinear" and resampled.shape != result[key].shape:
                inside = self.spacing((result[key] != 0).float(), mode=mode)
                resampled.copy_(torch.where(inside >= 0.5, resampled / inside.clamp(min=0.5), 0))
            result[key] = resampled
        return result

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the keys on the grid that they had."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.spacing.inverse(result[key])
        return result
