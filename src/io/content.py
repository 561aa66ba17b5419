"""What files, items of data lists, settings and networks hold, as a short text that tells any two apart."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader

from .. import __version__
from .files import sha256

ATOMS = (type(None), bool, int, float, complex, str, bytes)
DRAWS = (np.random.RandomState, np.random.Generator, torch.Generator)
CHANGING = {torch.nn.Module: "training", ImageReader: "filenames"}
"""Attributes that use changes though the result stays the same."""
SETTLED_S = 2.0
"""Age of a file's last change from which a later one has another time, however coarse the clock of the disk."""
BESIDE = (".json", ".hdr", ".img")
"""Endings of files that are read along with one that is named alike."""


def digest(*things: Any) -> str:
    """Return the SHA-256 of what objects hold, the same in every process.

    Tensors and arrays count by their values, functions by name and code, all other objects by class and state. The
    state of random generators does not count, nor whether a network is in training mode.

    Raises:
        TypeError: an object has no state that can be read, for example an open file.
    """
    return _digest([__version__, *things], ()).hex()


def item_digest(item: Any) -> bytes:
    """Return the :func:`digest` of an item and of the content of every file that it names, for ``hash_func`` of MONAI.

    Args:
        item: of a data list. A text in it that is the path of a file stands for that file, and for those beside it
            of the same name that end in :data:`BESIDE`.
    """
    return digest(item, {str(path): _content_of(path) for path in _files(item)}).encode()


def settings_digest(transforms: Sequence[Callable]) -> bytes:
    """Return the :func:`digest` of transforms, arguments and weights of networks included, for ``hash_transform``."""
    return digest(*transforms).encode()


def _files(item: Any) -> Iterator[Path]:
    if isinstance(item, str):
        if os.path.isfile(item):  # which, unlike Path.is_file, takes any text
            alike = Path(item).with_name(Path(item).name.split(".")[0])
            yield Path(item)
            yield from (path for path in map(alike.with_suffix, BESIDE) if path.is_file())
    elif isinstance(item, Mapping | list | tuple):
        for value in item.values() if isinstance(item, Mapping) else item:
            yield from _files(value)


def _content_of(path: Path) -> str:
    """Return the SHA-256 of a file, which is read again when anything about it has changed."""
    about = path.stat()
    if time.time() - about.st_ctime < SETTLED_S:
        return sha256(path)
    return _known_content(path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _known_content(path: Path, *about: int) -> str:
    return sha256(path)


def _digest(thing: Any, above: tuple[int, ...]) -> bytes:
    """Return the SHA-256 of the type of an object and of what it holds; ``above`` are the ids of what holds it."""
    if id(thing) in above:
        return hashlib.sha256(b"inside itself").digest()

    def of(*parts: Any) -> bytes:
        return b"".join(_digest(part, (*above, id(thing))) for part in parts)

    return hashlib.sha256(type(thing).__qualname__.encode() + b"\0" + _content(thing, of)).digest()


def _content(thing: Any, of: Callable[..., bytes]) -> bytes:
    """Return what an object holds; ``of`` gives the digests of its parts."""
    if isinstance(thing, ATOMS):
        return repr(thing).encode()
    if isinstance(thing, torch.Tensor | np.ndarray):
        return _values(thing)
    if isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        return of(thing.__module__, thing.__qualname__, thing.__code__, thing.__defaults__, thing.__kwdefaults__, cells)
    if isinstance(thing, CodeType):
        return of(thing.co_code, thing.co_names, thing.co_consts)
    if isinstance(thing, type | ModuleType):
        return of(getattr(thing, "__module__", ""), thing.__name__)
    if isinstance(thing, Mapping):
        return b"".join(sorted(of(key, value) for key, value in thing.items()))
    if isinstance(thing, list | tuple):
        return of(*thing)
    if isinstance(thing, set | frozenset):
        return b"".join(sorted(map(of, thing)))
    if isinstance(thing, DRAWS):
        return b""
    for kind, changing in CHANGING.items():
        if isinstance(thing, kind):
            return of({name: value for name, value in vars(thing).items() if name != changing})
    reduced = thing.__reduce_ex__(4)  # as pickle takes objects apart
    if isinstance(reduced, str):
        return of(reduced)
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    return of(make, arguments, state, list(items or ()), list(pairs or ()))


def _values(thing: torch.Tensor | np.ndarray) -> bytes:
    tensor = torch.as_tensor(thing).detach().as_subclass(torch.Tensor)
    values = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + values.tobytes()
