"""Writing results: refused before work starts when it cannot end well, and never left half done."""

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..checks import InputError
from ..names import storable
from .temporary import OLD, is_temporary, temporary_folder

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""Of file systems that write at once, or not on demand."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends well, and is removed when not.

    The temporary file lies in a hidden folder beside ``path`` and ends like it, because NiBabel and others choose the
    format by suffix. It is on disk before it is renamed, and so is its name before the block ends: when the machine
    stops, there is the earlier file or the whole new one.

    Raises:
        InputError: the disk is full or read-only.
    """
    path = Path(path)
    with _told(path), temporary_folder(path.parent) as folder:
        temporary = folder / f"new{''.join(path.suffixes[-2:])}"
        yield temporary
        _replace(temporary, path)


def _replace(temporary: Path, path: Path) -> None:
    """Rename a file or folder, which is on disk before; its new name is after."""
    lasting = not is_temporary(path)
    if lasting:
        for file in [*temporary.rglob("*"), temporary]:
            sync(file)
    temporary.replace(path)
    if lasting:
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name what is to be written, not a temporary file, where the disk is full or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM or is_temporary(path):
            raise
        raise InputError(f"cannot write '{path}': {error.strerror}. Make room, or choose another folder.") from error


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a text as UTF-8, whole or not at all, see :func:`csvd.names.storable`."""
    with atomic_path(path) as temporary:
        temporary.write_text(storable(text), encoding="utf-8")


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], overwrite: bool = False, replaceable: Collection[str] = ()
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that becomes ``path`` when the block ends well, and is removed when not.

    Args:
        path: the folder; those above it are made.
        overwrite: replace a folder that is there, when the new one is complete.
        replaceable: names of files that it may hold though the new one does not.

    Raises:
        FileExistsError: there is something at ``path`` other than an empty folder, and ``overwrite`` is false or
            it holds something else that the new folder does not, which would be lost.
    """
    path = Path(path)
    exists = FileExistsError(f"output '{path}' exists already: choose to overwrite it, or another output folder.")
    if path.exists() and not overwrite and not _is_empty_folder(path):
        raise exists
    path.parent.mkdir(parents=True, exist_ok=True)
    with _told(path), temporary_folder(path.parent) as folder:
        new = folder / "new"
        new.mkdir()
        yield new
        names = {*os.listdir(new), *replaceable}
        while True:
            if path.exists() and overwrite:
                _set_aside(path, folder / OLD, names)
            try:
                return _replace(new, path)
            except OSError as error:  # a rename replaces empty folders only
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                if not overwrite:
                    raise exists from None


def _set_aside(path: Path, old: Path, new: Collection[str]) -> None:
    """Move a folder that is replaced; another process may do the same at the same time."""
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir()
    with suppress(FileNotFoundError):
        _check_replaceable(path, new)
        path.replace(old / path.name)


def _check_replaceable(folder: Path, new: Collection[str]) -> None:
    others = sorted({*os.listdir(folder)}.difference(new))
    if others:
        raise FileExistsError(
            f"output folder '{folder}' holds '{others[0]}', which is none of the results and would be lost: "
            "choose another output folder."
        )


def check_output(out: str | os.PathLike[str], names: Collection[str], overwrite: bool = False) -> None:
    """Check that the folders ``out/<name>`` can be written. Nothing is created.

    Args:
        out: folder of the results, which may not exist yet.
        names: names of the cases.
        overwrite: accept results that are there.

    Raises:
        InputError: ``out`` cannot be written to, or a case has results already and ``overwrite`` is false.
    """
    out = Path(out)
    existing = next(folder for folder in (out, *out.absolute().parents) if os.path.lexists(folder))
    try:
        with temporary_folder(existing):  # permissions say little: root ignores them, /proc has none
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to output folder '{out}': '{existing}' does not take a new folder ({error.strerror}). "
            "Choose another --out."
        ) from None
    done = [name for name in names if os.path.lexists(out / name) and not _is_empty_folder(out / name)]
    if done and not overwrite:
        more = f" and {len(done) - 1} more" if len(done) > 1 else ""
        raise InputError(
            f"output '{out / done[0]}'{more} exists already: give --overwrite to replace it, or choose another --out."
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which tells whether it was changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
