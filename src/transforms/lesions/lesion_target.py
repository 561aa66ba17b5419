"""What the detector learns from a label: lesions that count the same, and where to look for them."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy import ndimage
from torch.nn.functional import max_pool3d

from ...checks import check_positive, check_same_shape
from ...lesions.labels import label_components

BACKGROUND_STEP = 16


def grow_in_plane(label: torch.Tensor) -> torch.Tensor:
    """Return the label (1, H, W, D), non-zero in lesions, grown by one voxel in the first two axes, as 0 and 1."""
    return max_pool3d((label != 0).float()[None], kernel_size=(3, 3, 1), stride=1, padding=(1, 1, 0))[0]


def equal_lesions(target: torch.Tensor, lesion_voxels: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much each voxel counts, and the voxel nearest to the centre of each lesion.

    Args:
        target: (1, H, W, D), non-zero in lesions, which are its 26-connected clusters.
        lesion_voxels: what the voxels of one lesion count together.

    Returns:
        (1, H, W, D) float32, 0 outside lesions, and flat indices (N,) int64 of the centres.
    """
    # NumPy, because torch has no connected components.
    clusters, count = label_components(target[0].numpy(force=True) != 0)
    share = lesion_voxels / np.bincount(clusters.ravel(), minlength=count + 1).astype(np.float32)
    share[0] = 0
    centres = ndimage.center_of_mass(clusters > 0, clusters, range(1, count + 1))
    index = np.rint(np.reshape(centres, (-1, 3))).astype(np.int64)
    flat = np.ravel_multi_index(tuple(index.T), clusters.shape)
    return torch.from_numpy(share[clusters])[None], torch.from_numpy(flat)


class LesionTargetd(MapTransform):
    """Turn a label into a target in which every lesion counts the same, and add the places to crop from.

    A lesion of two voxels would hardly count in the loss beside one of fifty, and a crop around a random voxel of
    the label would hardly ever meet it. So lesions grow by one voxel in plane, the values of one lesion's voxels sum
    to ``lesion_voxels``, which :class:`csvd.losses.WeightedCEDiceLoss` reads as weights, and the centre of each
    lesion and every 16th voxel of the rest of the brain are listed for MONAI's ``RandCropByPosNegLabeld``, under the
    names that ``FgBgToIndicesd`` uses: ``<key>_fg_indices`` and ``<key>_bg_indices``.

    Args:
        keys: labels, (1, H, W, D), non-zero in lesions.
        mask_key: brain mask.
        lesion_voxels: what the voxels of one lesion count together. Defaults to 30.

    Raises:
        ValueError: ``lesion_voxels`` is not positive; on call, label and mask have different shapes.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        lesion_voxels: float = 30,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_positive("lesion_voxels", lesion_voxels)
        self.mask_key = mask_key
        self.lesion_voxels = lesion_voxels

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Replace the label, and add the indices."""
        out = dict(data)
        for key in self.key_iterator(out):
            check_same_shape(out[key], out[self.mask_key], "make a target of")
            target = grow_in_plane(out[key])
            share, centres = equal_lesions(target, self.lesion_voxels)
            brain = ((out[self.mask_key] != 0) & (target == 0)).flatten().nonzero()[::BACKGROUND_STEP, 0]
            out[key] = convert_to_dst_type(share, out[key], dtype=torch.float32)[0]
            out[f"{key}_fg_indices"], out[f"{key}_bg_indices"] = centres, brain.as_subclass(torch.Tensor)
        return out
