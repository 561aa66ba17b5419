"""What Mask R-CNN learns from a slice: a box and a mask for each microbleed."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends
from scipy import ndimage

from ...lesions.labels import label_components


def slice_target(label: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the objects of a slice (H, W), non-zero in microbleeds, as torchvision's detectors take them.

    Returns:
        ``boxes`` (N, 4), float32, (x1, y1, x2, y2), where y runs along
        the first axis of the slice and x along the second, and the ends lie one voxel behind the last; ``labels``
        (N,), all 1; ``masks`` (N, H, W), uint8. An object is an 8-connected cluster.
    """
    # NumPy, because torch has no connected components.
    clusters, count = label_components(label.numpy(force=True) != 0)
    corners = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(clusters)]
    objects = torch.from_numpy(clusters)
    return {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(count, dtype=torch.int64),
        "masks": (objects == torch.arange(1, count + 1)[:, None, None]).to(torch.uint8),
    }


class SliceTargetd(MapTransform):
    """Make of the label of a stack of slices the target of the middle one, see :func:`slice_target`.

    Args:
        keys: labels, (1, H, W, D) with odd D, non-zero in microbleeds.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the labels."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = slice_target(out[key][0, :, :, out[key].shape[-1] // 2])
        return out
