"""Inpainting: replace the masked voxels of an image by the mean of their surroundings, layer by layer inwards."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import InputError, check_same_shape, describe


def inpaint_mask(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return ``image`` with each masked voxel replaced by the mean of its unmasked 26-neighbours, as in [1]_.

    The outermost layer of the mask is filled first and then counts as unmasked for the next.

    Args:
        image: (C, H, W, D) tensor of any number type, not modified.
        mask: (1, H, W, D) tensor, non-zero where the image is to be replaced, in all channels.

    Returns:
        (C, H, W, D), of the type of ``image`` if that is a floating type, else float32; outside the mask the same
        numbers as ``image``.

    Raises:
        InputError: the shapes differ, or the mask leaves no voxel to copy from.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023. https://doi.org/10.3389/fninf.2023.1204186
    """
    check_same_shape(image, mask, "inpaint")
    masked = convert_to_tensor(mask, dtype=torch.bool, track_meta=False).any(dim=0)
    if masked.all():
        raise InputError(f"cannot inpaint {describe(image)}: its mask covers the whole image. Check the mask.")
    result = convert_to_tensor(image, track_meta=False).clone()
    result = result if result.is_floating_point() else result.float()

    # A border of voxels that are never known gives every voxel 26 neighbours.
    values = torch.nn.functional.pad(result.float().masked_fill(masked, 0), (1, 1, 1, 1, 1, 1))
    known = torch.nn.functional.pad(~masked, (1, 1, 1, 1, 1, 1))
    todo = torch.nn.functional.pad(masked, (1, 1, 1, 1, 1, 1)).flatten().nonzero()
    steps = torch.tensor([-1, 0, 1], device=todo.device)
    neighbours = (steps[:, None, None] * known.stride(0) + steps[:, None] * known.stride(1) + steps).flatten()
    flat_values, flat_known = values.flatten(1), known.flatten()
    while len(todo):
        around = todo + neighbours  # (V, 27): the voxel itself is not known, so it does not count
        count = flat_known[around].sum(dim=1)
        ready = count > 0
        flat_values[:, todo[ready, 0]] = flat_values[:, around[ready]].sum(dim=2) / count[ready]
        flat_known[todo[ready, 0]] = True
        todo = todo[~ready]
    result[:, masked] = values[:, 1:-1, 1:-1, 1:-1][:, masked].to(result.dtype)
    return result


class InpaintMask(Transform):
    """Replace the masked voxels of an image by the mean of their surroundings; see :func:`inpaint_mask`."""

    backend = [TransformBackends.TORCH]

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Fill (C, H, W, D) where ``mask`` (1, H, W, D) is not zero."""
        result = inpaint_mask(image, mask)
        return convert_to_dst_type(result, image, dtype=result.dtype)[0]


class InpaintMaskd(MapTransform):
    """Dictionary version of :class:`InpaintMask`.

    Args:
        mask_key: key of the mask, which is left as it is.
    """

    backend = InpaintMask.backend

    def __init__(self, keys: KeysCollection, mask_key: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.inpaint = InpaintMask()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with each key inpainted."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.inpaint(out[key], out[self.mask_key])
        return out
