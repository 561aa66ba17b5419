"""Writing results: refused before work starts when it cannot end well, and never left half done."""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..checks import InputError
from ..names import storable


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block ends well, and is removed when not.

    The temporary name is hidden and ends like ``path``, because NiBabel and others choose the format by suffix. It is
    random: processes of two containers or machines that write to one folder may have the same number.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    if path.exists() and not overwrite and not _is_empty_folder(path):
        raise FileExistsError(f"output '{path}' exists already: choose to overwrite it, or another output folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    temporary, old = (path.with_name(f".{token}-{word}-{path.name}") for word in ("new", "old"))
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            _check_replaceable(path, {*os.listdir(temporary), *replaceable})
            path.replace(old)  # a rename replaces empty folders only
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


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
        with tempfile.TemporaryDirectory(dir=existing):  # permissions say little: root ignores them, /proc has none
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
