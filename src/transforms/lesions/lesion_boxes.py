"""Boxes around lesions, as MONAI Label hands them to 3D Slicer."""

from collections.abc import Hashable, Mapping
from itertools import product
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_tensor

from .lesion_label import LPS

SERVED = "image_path"
"""Entry that the server of MONAI Label alone adds to its items."""


def lesion_boxes(instances: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Return the boxes (N, 6) of an instance map, (cx, cy, cz, w, h, d) in LPS mm, in the order of their numbers.

    A box lies along the axes of the world and holds all eight corners of the lesion's box of voxels, half a voxel more
    than their centres on each side: MONAI's ``AffineBoxToWorldCoordinate`` moves two corners only, and so shrinks the
    boxes of an oblique scan.

    Args:
        instances: (1, H, W, D) whole numbers, 0 outside lesions.
        affine: (4, 4), voxel to RAS+ mm.
    """
    labels = convert_to_tensor(instances, track_meta=False)[0].cpu()
    index = labels.nonzero()  # (V, 3)
    ids, lesion = labels[tuple(index.T)].unique(return_inverse=True)
    rows = lesion[:, None].expand(-1, 3)
    low, high = (
        torch.zeros(len(ids), 3, dtype=torch.float64).scatter_reduce(0, rows, index.double(), kind, include_self=False)
        for kind in ("amin", "amax")
    )
    affine = affine.double().cpu()
    corners = torch.stack(
        [torch.where(torch.tensor(upper), high + 0.5, low - 0.5) for upper in product((False, True), repeat=3)]
    )  # (8, N, 3) voxels
    world = (corners @ affine[:3, :3].T + affine[:3, 3]) * LPS
    first, last = world.amin(dim=0), world.amax(dim=0)
    return torch.cat([(first + last) / 2, last - first], dim=1)


class LesionBoxesd(MapTransform):
    """Add to an instance map what MONAI Label shows of it.

    ``box`` (N, 6), see :func:`lesion_boxes`, ``label`` (N,), all 0, and ``result``: their number, and the probability
    of each, which the server's answer holds beside a mask. On the server, the map becomes that mask, 1 in all lesions:
    other numbers are other classes there, and OHIF shows none that the bundle's metadata does not name.

    Args:
        keys: instance map, (1, H, W, D) meta tensor.
        probability_key: probability map, (1, H, W, D).
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, probability_key: Hashable, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.probability_key = probability_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add boxes, labels and result; on the server, make a mask of the map."""
        out = dict(data)
        for key in self.key_iterator(out):
            affine = out[key].affine if isinstance(out[key], MetaTensor) else torch.eye(4)
            instances, probability = (
                convert_to_tensor(out[name], track_meta=False) for name in (key, self.probability_key)
            )
            inside = instances != 0
            ids, lesion = instances[inside].unique(return_inverse=True)
            values = probability[inside].float()
            scores = values.new_zeros(len(ids)).scatter_reduce(0, lesion, values, "amax").tolist()
            box = lesion_boxes(instances, affine)
            out |= {"box": box.float(), "label": torch.zeros(len(box), dtype=torch.long)}
            out["result"] = {"count": len(box), "scores": scores, "boxes_cccwhd_lps_mm": box.tolist()}
            if SERVED in out:
                out[key] = (out[key] != 0).to(out[key].dtype)
        return out
