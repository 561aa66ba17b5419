"""A folder of results that appears complete or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that becomes ``path`` when the block ends well, and is removed when not.

    Args:
        path: the folder; those above it are made.
        overwrite: replace a folder that is there, when the new one is complete.

    Raises:
        FileExistsError: there is something at ``path`` other than an empty folder, and ``overwrite`` is false.
    """
    path = Path(path)
    if path.exists() and not overwrite and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"output '{path}' exists already: choose to overwrite it, or another output folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (path.with_name(f".{os.getpid()}-{word}-{path.name}") for word in ("new", "old"))
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.replace(old)  # a rename replaces empty folders only
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
