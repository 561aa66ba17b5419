"""Writing data lists: training, validation, test and folds, no subject in two of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import atomic_path

FOLDS = 5
SECTIONS = ("training", "validation", "test")


def check_split(split: Sequence[float]) -> None:
    """Raise ``ValueError`` unless ``split`` is three shares that sum to 1."""
    if len(split) != len(SECTIONS) or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"`split` must be three shares that sum to 1, got {tuple(split)!r}.")


def write_datalist(
    path: Path, subjects: Sequence[Sequence[dict[str, Any]]], split: Sequence[float], seed: int, **header: str
) -> Path:
    """Write a data list as MONAI reads it, and return its path.

    Subjects are shuffled and dealt to the sections in whole; each item also gets a ``fold``, 0 to 4, for
    cross-validation.

    Args:
        path: the file, ``datalist.json`` where the bundles look for it; its folder is made.
        subjects: the items of each subject.
        split: shares of training, validation and test.
        seed: of the shuffling.
        header: ``name``, ``description``.

    Raises:
        ValueError: the shares do not sum to 1.
    """
    check_split(split)
    order = np.random.default_rng(seed).permutation(len(subjects))
    bounds = np.rint(np.cumsum(split) * len(subjects)).astype(int)
    lists: dict[str, list[dict[str, Any]]] = {section: [] for section in SECTIONS}
    for rank, index in enumerate(order.tolist()):
        section = SECTIONS[int(np.searchsorted(bounds, rank, side="right"))]
        lists[section] += [{**item, "fold": rank % FOLDS} for item in subjects[index]]
    ordered = {name: sorted(items, key=lambda item: item["image"]) for name, items in lists.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**header, **ordered}, indent=1) + "\n", encoding="utf-8")
    return path
