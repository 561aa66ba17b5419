"""Brain mask: the given one, else what a skull-stripped scan leaves, else a brain extraction."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import InputError, check_one_of, check_same_shape, describe
from ._brain_extraction import extract_brain, fill_slices, largest
from ._brain_tools import TOOLS, run_tool

METHODS = ("auto", "zeros", "builtin", *TOOLS)
MIN_OUTSIDE = 0.15
"""Share of the volume that is constant when the scan was stripped; a box around an ellipsoid has 0.48."""
OF_HEAD = (0.3, 0.85)
"""Share of a head with scalp that the built-in extraction calls brain. Of a stripped scan it is more, or less where
contrasts among the tissues mislead it."""
MAX_BRAIN = 2.5e6
"""Largest volume in mm3 that is a stripped brain, not a head in air of which some is 0; the largest brains have 2e6."""
MAX_NEGATIVE = 0.01
"""Share of negative voxels up to which an image counts as a magnitude."""


def brain_mask(image: torch.Tensor, method: str = "auto") -> tuple[torch.Tensor, str]:
    """Return the brain on a scan and the method that found it.

    Args:
        image: (1, H, W, D) tensor, slices along the last axis; an image without an affine is RAS with voxels of 1 mm.
        method: "zeros" takes what differs from a constant outside. "builtin" is :func:`extract_brain`. "synthstrip",
            "hd-bet" and "bet" run the program of that name. "auto" takes "zeros" when the scan was stripped, else
            "builtin".

    Returns:
        (1, H, W, D) uint8 mask with the meta data of ``image``, and "zeros", "builtin" or the program's name.

    Raises:
        ValueError: the method is unknown, its program missing, or the image constant, not finite, signed (a phase
            image, or QSM that is not 0 outside the brain), or without a constant outside for "zeros".
    """
    check_one_of("method", method, METHODS)
    volume = convert_to_tensor(image[0], dtype=torch.float32, track_meta=False).numpy(force=True)
    affine = (image.affine if isinstance(image, MetaTensor) else torch.eye(4)).numpy(force=True).astype(float)
    if not np.isfinite(volume).all() or volume.min() == volume.max():
        raise InputError(f"cannot find the brain on {describe(image)}: its voxels must be finite and not all equal.")
    signed = (volume < 0).mean() > MAX_NEGATIVE
    stripped = find_stripped(volume) if method in ("auto", "zeros") else None
    if stripped is None and method == "zeros":
        raise InputError(f"cannot find the brain on {describe(image)}: it has no constant outside. Use another method.")
    if signed and stripped is None:
        raise InputError(
            f"cannot find the brain on {describe(image)}: {(volume < 0).mean():.0%} of its voxels are negative, "
            "so it is no magnitude. Give a mask."
        )
    if stripped is not None and (signed or method == "zeros"):
        brain, used = stripped, "zeros"
    elif method in TOOLS:
        brain, used = run_tool(method, volume, affine), method
    else:
        brain, used = extract_brain(volume.clip(min=0), affine), "builtin"
        if stripped is not None and _is_brain(stripped, brain, affine):
            brain, used = stripped, "zeros"
    mask = torch.from_numpy(brain)[None]
    return convert_to_dst_type(mask, image, dtype=torch.uint8)[0], used


def _is_brain(stripped: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> bool:
    """Return whether what is not air is a stripped brain, by its volume and what the extraction finds in it."""
    volume_mm3 = stripped.sum() * abs(np.linalg.det(affine[:3, :3]))
    return bool(volume_mm3 <= MAX_BRAIN and not OF_HEAD[0] < brain[stripped].mean() < OF_HEAD[1])


def find_brain(image: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Return the brain of a scan (H, W, D) as the detector finds it, bool of the same shape, to plant into."""
    return convert_to_tensor(BrainMask()(MetaTensor(image[None], affine=affine))[0] > 0, track_meta=False)


def find_stripped(volume: np.ndarray) -> np.ndarray | None:
    """Return what differs from a constant outside, largest part and filled, or ``None`` without such an outside."""
    outside = volume[0, 0, 0]
    if (volume[:: volume.shape[0] - 1, :: volume.shape[1] - 1, :: volume.shape[2] - 1] != outside).any():
        return None
    differs = volume != outside
    if differs.mean() > 1 - MIN_OUTSIDE:
        return None
    return fill_slices(largest(differs))


def check_mask(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return a given mask as (1, H, W, D) uint8: 1 where it is above 0.5.

    Raises:
        InputError: the mask has another shape than the image, or is empty.
    """
    check_same_shape(image, mask, "mask")
    binary = (convert_to_tensor(mask, track_meta=False) > 0.5).any(dim=0, keepdim=True)
    if not binary.any():
        raise InputError(f"cannot mask {describe(image)}: its mask is empty. Leave the mask out, or draw it again.")
    return binary


class BrainMask(Transform):
    """Find the brain, unless a mask is given; see :func:`brain_mask`.

    ``meta["brain_mask"]`` of the result names the method: "given", "zeros", "builtin" or a program.

    Args:
        method: "auto", "zeros", "builtin", "synthstrip", "hd-bet" or "bet".

    Raises:
        ValueError: ``method`` is none of these.
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, method: str = "auto") -> None:
        check_one_of("method", method, METHODS)
        self.method = method

    def __call__(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (1, H, W, D) to a uint8 mask of the same shape, with the meta data of the image.

        Raises:
            InputError: the given mask has another shape or is empty, or the image shows no brain.
        """
        if mask is None:
            result, used = brain_mask(image, self.method)
        else:
            result, used = convert_to_dst_type(check_mask(image, mask), image, dtype=torch.uint8)[0], "given"
        if isinstance(result, MetaTensor):
            result.meta["brain_mask"] = used
        return result


class BrainMaskd(MapTransform):
    """Dictionary version of :class:`BrainMask`: adds the mask, or checks the one that the item has.

    Args:
        keys: the image. The method is recorded in its ``meta["brain_mask"]`` too.
        mask_key: where the mask is, and where the result goes.
    """

    backend = BrainMask.backend

    def __init__(
        self, keys: KeysCollection, mask_key: Hashable = "mask", method: str = "auto", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.brain_mask = BrainMask(method)
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the mask of the first of ``keys``."""
        out = dict(data)
        key = next(iter(self.key_iterator(out)), None)
        if key is None:
            return out
        mask = self.brain_mask(out[key], out.get(self.mask_key))
        if isinstance(mask, MetaTensor):
            out[key] = out[key].clone()
            out[key].meta["brain_mask"] = mask.meta["brain_mask"]  # type: ignore[attr-defined]
        return out | {self.mask_key: mask}
