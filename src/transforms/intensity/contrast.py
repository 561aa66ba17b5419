"""How microbleeds look on an image, and whether the image can be what it is said to be.

The dark share, measured after N4 in built-in masks. SWI and T2*-weighted magnitude have little that is much darker than
the brain's median; T1, FLAIR and DWI show CSF so. Bright CSF says nothing: T2*-weighted gradient echo has it too.

=============================================  ==========
image                                          dark share
=============================================  ==========
T2* EPI, echoes of 20 and 38 ms                0.5, 0.2 %
GRE, echoes of 5 to 12 ms, two scanners        0.3-1.9 %
multi-echo GRE, small crop, three echoes       0.0 %
simulated SWI and magnitude, 58 images         0.0-1.3 %
T1: spin echo, FLASH, MPRAGE                   4.4-9.3 %
FLAIR                                          3.5 %
DWI b 1000, two scanners                       4.6, 8.6 %
T2, ADC, PD-weighted FLASH, DWI b 0: not told  0.1-0.7 %
=============================================  ==========
"""

import warnings
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.utils import convert_to_tensor
from torch.nn.functional import avg_pool3d

from ...checks import check_one_of, describe
from ..grid._gaussian import gaussian_filter
from ..grid._mask import inside_of

CONTRASTS = ("dark", "bright")
DARK, MAX_DARK = 0.6, 0.027
"""A voxel is dark below this share of the median, and the brain should not hold a larger share of dark voxels."""
MAX_NEGATIVE, MIN_NEGATIVE = 0.01, 0.1
"""Share of negative brain voxels that a magnitude has at most, and QSM at least."""
WORK_MM, BIAS_MM, RIM_MM = 2.0, 20.0, 5.0
"""Voxels are averaged to the first; shading is taken out above the second; the outer third is not looked at."""


def item_contrast(data: Mapping[Hashable, Any], image: torch.Tensor, contrast_key: Hashable, contrast: str) -> str:
    """Return the contrast that the item states under ``contrast_key``, else ``contrast``.

    Raises:
        ValueError: the item states neither "dark" nor "bright".
    """
    stated = data.get(contrast_key, contrast)
    check_one_of(f"{contrast_key} of {describe(image)}", stated, CONTRASTS)
    return stated


def contrast_warning(image: torch.Tensor, mask: torch.Tensor | None, contrast: str) -> str | None:
    """Return a sentence that says why ``image`` does not look like ``contrast``, ``None`` when it may.

    Args:
        image: (1, H, W, D) tensor, slices along the last axis, best after bias correction. Without an affine, voxels
            count as 1 mm.
        mask: (1, H, W, D) tensor, non-zero in the brain. Without it, the non-zero voxels are the brain.
        contrast: "dark" expects SWI or T2*-weighted magnitude, "bright" QSM.

    Raises:
        ValueError: the shape of the mask is another, or ``contrast`` is unknown.
    """
    check_one_of("contrast", contrast, CONTRASTS)
    inside = inside_of(image, mask, "check the contrast of")
    values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    negative = (values[inside] < 0).float().mean().item()
    if contrast == "bright":
        reason = f"only {negative:.0%} of its brain is below 0, on QSM about half is" if negative < MIN_NEGATIVE else ""
        expected = "QSM, contrast 'bright'"
    else:
        spacing = affine_to_spacing(image.affine).tolist() if isinstance(image, MetaTensor) else [1.0] * 3
        reason = _wrong_magnitude(values, inside, negative, spacing)
        expected = "SWI or T2*-weighted magnitude, contrast 'dark'"
    if not reason:
        return None
    return f"{describe(image)} does not look like {expected}: {reason}. Check that it is the right scan."


def note_contrast(result: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None, contrast: str) -> None:
    """Warn where :func:`contrast_warning` has a reason, and add it to the list ``meta["warnings"]`` of a result."""
    message = contrast_warning(image, mask, contrast)
    if message:
        warnings.warn(message, stacklevel=3)
        if isinstance(result, MetaTensor):
            result.meta["warnings"] = [*result.meta.get("warnings", []), message]


def _wrong_magnitude(values: torch.Tensor, inside: torch.Tensor, negative: float, spacing: list[float]) -> str:
    if negative > MAX_NEGATIVE:
        return f"{negative:.0%} of its brain is below 0, as on QSM and phase"
    dark = dark_share(values, inside, spacing)
    if dark > MAX_DARK:
        return f"{dark:.1%} of its brain is dark, as CSF is on T1, FLAIR and DWI, on SWI at most {MAX_DARK:.1%}"
    return ""


def dark_share(values: torch.Tensor, inside: torch.Tensor, spacing: list[float]) -> float:
    """Return which share of the brain is below 0.6 of its median, in the median slice.

    The median over slices passes over a haemorrhage. Voxels are averaged to about 2 mm, and the shading that remains
    is divided out.

    Args:
        values: (1, H, W, D) float32.
        inside: Boolean of that shape, the brain.
        spacing: voxel size in mm.
    """
    block = [max(1, round(WORK_MM / size)) for size in spacing]
    size = [n * edge for n, edge in zip(block, spacing, strict=True)]
    share = avg_pool3d(inside[None].float(), block, ceil_mode=True)[0]
    level = avg_pool3d(values.where(inside, 0)[None], block, ceil_mode=True)[0] / share.clamp(min=1e-6)
    deep = gaussian_filter((share > 0.5).float(), [RIM_MM / edge for edge in size]) > 0.84  # one deviation inside
    weight = (deep if deep.any() else share > 0).float()
    sigma = [BIAS_MM / edge for edge in size]
    level = level * gaussian_filter(weight, sigma) / gaussian_filter(level * weight, sigma).clamp(min=1e-9)
    level = level / level[weight > 0].median()
    area = weight.sum(dim=(0, 1, 2))
    slices = area > 0.3 * area.max()
    return (((level < DARK) * weight).sum(dim=(0, 1, 2)) / area)[slices].median().item()
