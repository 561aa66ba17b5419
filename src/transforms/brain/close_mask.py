"""Brain masks closed slice by slice, so that black lesions at their edge and in end slices are inside."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
from torch.nn.functional import pad

from ...checks import check_positive
from ...planes import slice_axis
from ..grid.window_maximum import window_maximum
from ._brain_extraction import fill_slices

CLOSE_MM = 2.5


def close_mask(mask: torch.Tensor, spacing_mm: Sequence[float], radius_mm: float = CLOSE_MM) -> torch.Tensor:
    """Return a mask (H, W, D) whose slices, along the last axis, are closed and without holes.

    Args:
        mask: brain, bool.
        spacing_mm: of the voxels.
        radius_mm: half the side of the square by which each slice is dilated and eroded again.
    """
    reach = [max(1, round(radius_mm / mm)) for mm in spacing_mm[:2]]
    window, sides = (1, 2 * reach[0] + 1, 2 * reach[1] + 1), [reach[1], reach[1], reach[0], reach[0]]
    grown = window_maximum(pad(mask.permute(2, 0, 1).to(torch.uint8), sides), window)
    closed = 1 - window_maximum(1 - grown, window)
    middle = closed[:, reach[0] : -reach[0], reach[1] : -reach[1]] > 0
    filled = torch.from_numpy(fill_slices(middle.permute(1, 2, 0).numpy(force=True)))
    return filled.to(mask.device) | mask


class CloseMaskd(MapTransform):
    """Close brain masks (1, H, W, D), slice by slice; see :func:`close_mask`.

    Args:
        keys: masks with an affine.
        radius_mm: half the side of the square.
        allow_missing_keys: do not fail when a key is absent.

    Raises:
        ValueError: ``radius_mm`` is not positive.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, radius_mm: float = CLOSE_MM, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        check_positive("radius_mm", radius_mm)
        self.radius_mm = radius_mm

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the masks closed, uint8."""
        out = dict(data)
        for key in self.key_iterator(out):
            spacing = affine_to_spacing(getattr(out[key], "affine", torch.eye(4))).tolist()
            axis = slice_axis(spacing)
            order = [k for k in range(3) if k != axis] + [axis]
            brain = (convert_to_tensor(out[key], track_meta=False)[0] > 0).permute(order)
            closed = close_mask(brain, [spacing[k] for k in order], self.radius_mm)
            back = closed.permute([order.index(k) for k in range(3)])[None]
            out[key] = convert_to_dst_type(back.contiguous(), out[key], dtype=torch.uint8)[0]
        return out
