"""Preprocessed scans on disk, told apart by what made them: content of the files, settings, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, PersistentDataset
from monai.transforms import Compose, RandomizableTrait, Transform
from monai.utils import convert_to_tensor

from .content import item_digest, settings_digest
from .files import atomic_path


class DiskCacheDataset(PersistentDataset):
    """MONAI's ``PersistentDataset`` that sees when a file, a setting or the weights of a network have changed.

    What the transforms before the first random one make of an item is kept under a name that tells all of these apart:
    files whenever an item is asked for, settings and weights when the first is, because a network may get its weights
    after the dataset is made. Of the meta data, affine and file name are kept. Kept files are loaded with
    ``weights_only=True``. Those that are out of date stay until the folder is deleted. MONAI writes a file in the
    system's folder for temporary files and moves it, which copies between disks: a kill meanwhile left half a file that
    stopped the next training. Here it is written beside its place.

    Args:
        data: items of a data list.
        transform: as for ``PersistentDataset``.
        cache_dir: folder.
        track_meta: keep the meta data.
    """

    def __init__(
        self, data: Sequence, transform: Sequence[Callable] | Callable, cache_dir: str, track_meta: bool = True
    ) -> None:
        super().__init__(data, transform, cache_dir, hash_func=item_digest, track_meta=track_meta)
        self.folder = Path(cache_dir)

    def _cachecheck(self, item_transformed: Any) -> Any:
        if not self.transform_hash:
            self.set_transform_hash()
        file = self.folder / f"{self.hash_func(item_transformed).decode()}{self.transform_hash}.pt"
        if file.is_file():
            return torch.load(file, weights_only=True)
        made = self._pre_transform(deepcopy(item_transformed))
        with atomic_path(file) as temporary:
            torch.save(convert_to_tensor(made, convert_numeric=False, track_meta=self.track_meta), temporary)
        return made

    def set_transform_hash(self, hash_xform_func: Callable[..., bytes] = settings_digest) -> None:
        """Set the digest of the transforms before the first random one.

        MONAI looks for them in a new ``Compose``, which seeds the random ones: a training that goes on, whose epochs
        have seeds of their own, would draw other numbers.
        """
        fixed = takewhile(_is_fixed, _steps(self.transform))
        self.transform_hash = hash_xform_func([*fixed]).decode()

    def _pre_transform(self, item_transformed: Any) -> Any:
        made = super()._pre_transform(item_transformed)
        return {key: _plain(value, self.track_meta) for key, value in made.items()}


def _is_fixed(transform: Any) -> bool:
    return isinstance(transform, Transform) and not isinstance(transform, RandomizableTrait)


def _steps(transforms: Compose) -> Iterator[Any]:
    """Yield transforms as ``Compose.flatten`` lists them."""
    for one in transforms.transforms:
        if type(one) is Compose and one.map_items == transforms.map_items:
            yield from _steps(one)
        else:
            yield one


def _plain(value: Any, track_meta: bool) -> Any:
    """Return an image with no more meta data than ``weights_only=True`` can load, and anything else as it is."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if not isinstance(value, MetaTensor):
        return value
    if not track_meta:
        return value.as_tensor()
    meta = {key: str(value.meta[key]) for key in ("filename_or_obj",) if key in value.meta}
    return MetaTensor(value.as_tensor(), affine=value.affine, meta=meta)
