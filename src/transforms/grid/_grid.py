"""Labels and masks on the voxels of their scan."""

from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage
from monai.utils import ImageMetaKey, MetaKeys

from ...checks import InputError, describe
from ...io.nifti import axes_onto


def load_on_grid(load: LoadImage, path: Any, image: MetaTensor, what: str) -> MetaTensor:
    """Return a label or mask, (1, H, W, D), with the voxels of its scan in the scan's order.

    Args:
        load: loads it, channel first.
        path: its file.
        image: the scan as stored, (C, H, W, D), before any transform that moves voxels.
        what: word for the file in errors, "label" or "mask".

    Raises:
        InputError: the file cannot be read, is not finite, or does not cover the voxels of the scan; other orders and
            directions of the axes are allowed.
    """
    volume = load(path)
    shape = volume.shape[1:] if len(volume) == 1 else (*volume.shape[1:], len(volume))
    name = f"{what} '{volume.meta.get(ImageMetaKey.FILENAME_OR_OBJ, path)}'"
    bad = int((~volume.isfinite()).sum())
    if bad:
        raise InputError(f"{name} must be finite everywhere, {bad} voxels are NaN or infinite. Replace them by 0.")
    affines = (one.affine.numpy(force=True) for one in (volume, image))
    onto = axes_onto(name, next(affines), shape, describe(image), next(affines), image.shape[1:])
    # NumPy, because nibabel knows orders and directions of axes
    values = np.ascontiguousarray(nib.apply_orientation(volume[0].numpy(force=True), onto))
    meta = {key: value for key, value in volume.meta.items() if key != MetaKeys.AFFINE}
    known = {MetaKeys.ORIGINAL_AFFINE: image.affine.numpy(force=True), MetaKeys.SPATIAL_SHAPE: np.array(values.shape)}
    return MetaTensor(torch.from_numpy(values)[None], affine=image.affine.clone(), meta={**meta, **known})
