"""Folders for what is being written. They go when a run ends; what a killed run left, the next run removes."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ..checks import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = re.compile(r"\.?csvd-(?P<machine>[0-9a-f]{8})-\w{8}")
OLD = "old"
"""Folder in a temporary folder for what is being replaced; it goes back unless something else took its name."""
DAY_S = 86400


@contextmanager
def temporary_folder(parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Yield a new folder that is removed when the block ends.

    Folders that killed runs left in ``parent`` are removed first, once a process. A folder is theirs when a run of this
    machine made it since the machine was started, and no process holds its lock. Of other machines, and where the file
    system has no locks, hidden ones that are a day old are.

    Args:
        parent: folder in which it is made, hidden; that of the system for temporary files when not given.

    Raises:
        InputError: the system has no folder for temporary files that can be written to.
        OSError: ``parent`` takes no folder.
    """
    hidden = parent is not None
    where = os.path.abspath(parent) if parent is not None else _system_folder()
    _remove_left_once(where)
    folder, lock = _make(where, f"{'.' if hidden else ''}csvd-{_machine()}-")
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def is_temporary(path: Path) -> bool:
    """Return whether a path lies in a temporary folder, whose content does not outlive the run."""
    return any(NAME.fullmatch(name) for name in path.absolute().parent.parts)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, if it is not there, and let no other process of this machine in this block at the same time.

    Raises:
        InputError: another one is, see above.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = _lock(folder.resolve())
    except BlockingIOError:
        raise InputError(
            f"another run of csvd writes to output folder '{folder}': wait for its end, or choose another --out."
        ) from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def remove_left(parent: str | os.PathLike[str]) -> None:
    """Remove what killed runs left in a folder, see :func:`temporary_folder`."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            match = NAME.fullmatch(entry.name)
            if match is not None and entry.is_dir(follow_symlinks=False):
                _remove_if_left(Path(entry.path), own=match["machine"] == _machine())


_remove_left_once = cache(remove_left)


@cache
def _machine() -> str:
    """Return a code of this machine since it was started, which its containers share."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _system_folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(
            f"no folder for temporary files can be written to, tried {str(error).partition(' in ')[2]}: set TMPDIR to "
            "one that can."
        ) from None


def _make(parent: str, start: str) -> tuple[Path, int | None]:
    """Make a folder and lock it; one that another process took for a left one, before it was locked, is made anew."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=start, dir=parent))
        try:
            lock = _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue
        if lock is None or folder.exists():
            return folder, lock
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the lock of a folder until it is closed; None where there are no locks.

    Raises:
        BlockingIOError: another process has it.
        OSError: the folder cannot be opened.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_left(folder: Path, own: bool) -> None:
    try:
        lock = _lock(folder) if own else None
    except OSError:
        return
    if lock is not None:
        _remove(folder)
        os.close(lock)
    elif folder.name.startswith(".") and time.time() - folder.stat().st_mtime > DAY_S:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a temporary folder; what it was to replace goes back where nothing did."""
    with suppress(OSError):
        for replaced in (folder / OLD).iterdir():
            if not os.path.lexists(folder.parent / replaced.name):
                replaced.rename(folder.parent / replaced.name)
    shutil.rmtree(folder, ignore_errors=True)
