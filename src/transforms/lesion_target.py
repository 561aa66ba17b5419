"""What the detector learns from a label: lesions that are large enough to count, and where to look for them."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type
from scipy import ndimage
from torch.nn.functional import max_pool3d

from ..checks import check_between, check_same_shape


def grow_in_plane(label: torch.Tensor) -> torch.Tensor:
    """Return the label (1, H, W, D), non-zero in lesions, grown by one voxel in the first two axes, as 0 and 1."""
    return max_pool3d((label != 0).float()[None], kernel_size=(3, 3, 1), stride=1, padding=(1, 1, 0))[0]


def sampling_weight(target: torch.Tensor, mask: torch.Tensor, lesion_share: float) -> torch.Tensor:
    """Return the probability density, (1, H, W, D) float32, of the centres of training patches.

    Every lesion has the same share whatever its size; all of them together have ``lesion_share``, and the rest of the
    brain has the rest, uniformly. Without a lesion the brain has all.

    Args:
        target: (1, H, W, D), non-zero in lesions.
        mask: (1, H, W, D), non-zero in the brain.
        lesion_share: between 0 and 1.
    """
    # NumPy, because torch has no connected components.
    clusters, count = ndimage.label(target[0].numpy(force=True) != 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(clusters.ravel(), minlength=count + 1)
    sizes[0] = 1
    share = np.where(clusters > 0, lesion_share / (max(count, 1) * sizes[clusters]), 0)
    lesions = torch.from_numpy(share[None]).to(target.device)
    brain = ((mask != 0) & (target == 0)).double()
    rest = (1 - lesion_share if count else 1) / brain.sum().clamp(min=1)
    return (lesions + brain * rest).float()


class LesionTargetd(MapTransform):
    """Grow the lesions of a label by one voxel in plane, and add the weights by which patches are drawn.

    A lesion of two voxels would hardly count in the loss beside one of thirty, and a crop around a random voxel of
    the label would hardly ever meet it; both are made more equal here. Feed the weights to MONAI's
    ``RandWeightedCropd``.

    Args:
        keys: labels, (1, H, W, D), non-zero in lesions.
        mask_key: brain mask.
        weight_key: where the weights go.
        lesion_share: share of patches that are centred on a lesion. Defaults to 0.5.

    Raises:
        ValueError: ``lesion_share`` lies outside [0, 1]; on call, label and mask have different shapes.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: Hashable = "mask",
        weight_key: Hashable = "weight",
        lesion_share: float = 0.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_between("lesion_share", lesion_share, 0, 1)
        self.mask_key = mask_key
        self.weight_key = weight_key
        self.lesion_share = lesion_share

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Replace the label and add the weights."""
        out = dict(data)
        for key in self.key_iterator(out):
            check_same_shape(out[key], out[self.mask_key], "make a target of")
            out[key] = convert_to_dst_type(grow_in_plane(out[key]), out[key], dtype=torch.uint8)[0]
            weight = sampling_weight(out[key], out[self.mask_key], self.lesion_share)
            out[self.weight_key] = convert_to_dst_type(weight, out[key], dtype=torch.float32)[0]
        return out
