"""Data lists: MONAI's Decathlon-style JSON, with every path made absolute."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checks import InputError
from .json_files import read_json

PATH_KEYS = ("image", "label", "mask", "phase")
"""Keys whose values are paths, relative to the folder of the data list."""


def load_datalist(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], section: str
) -> list[dict[str, Any]]:
    """Return the items of one section of a data list, or of several, one after the other.

    Other than :func:`monai.data.load_decathlon_datalist` it resolves masks and phase images too and names faults.

    Args:
        path: JSON with lists of items, or of image paths, under section names such as ``"training"``; or several such.
        section: section to read.

    Raises:
        InputError: the file is missing, not JSON, has no such section, or an item has no image.
    """
    if not isinstance(path, str | os.PathLike):
        return [item for one in path for item in load_datalist(one, section)]
    path = Path(path)
    if not path.is_file():
        raise InputError(f"data list '{path}' does not exist: check the path.")
    content = read_json(path, f"data list '{path}'")
    sections = [key for key, items in content.items() if isinstance(items, list)] if isinstance(content, dict) else []
    if section not in sections or not content[section]:
        raise InputError(
            f"data list '{path}' must have items under '{section}', its sections are {sections}. "
            "Name one with --section."
        )
    return [_resolve(item, path, f"item {index} of '{section}'") for index, item in enumerate(content[section])]


def select_fold(items: Sequence[dict[str, Any]], fold: int, held_out: bool = False) -> list[dict[str, Any]]:
    """Return the items of all folds but one, or, ``held_out``, of that one.

    Args:
        items: with a number ``fold`` each, as ``csvd phantom`` and ``csvd datalist`` write them.
        fold: that is left out.
        held_out: turn it around.

    Raises:
        InputError: an item has no fold, or none is left.
    """
    for item in items:
        if not isinstance(item.get("fold"), int):
            raise InputError(f"image '{item['image']}' must have a number under 'fold' in its data list. Add it.")
    selected = [item for item in items if (item["fold"] == fold) == held_out]
    if not selected:
        folds = sorted({item["fold"] for item in items})
        raise InputError(f"fold {fold} leaves no image, the data list has the folds {folds}. Name one with --fold.")
    return selected


def _resolve(item: Any, path: Path, where: str) -> dict[str, Any]:
    item = {"image": item} if isinstance(item, str) else item
    if not isinstance(item, dict) or not isinstance(item.get("image"), str):
        raise InputError(f"data list '{path}': {where} must have one path under 'image', it is {item!r}. Correct it.")
    paths = {key: str(path.parent.absolute() / item[key]) for key in PATH_KEYS if isinstance(item.get(key), str)}
    return {**item, **paths}
