"""Writing results: refused before work starts when it cannot end well, and never left half done."""

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from .checks import InputError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block ends well, and is removed when not.

    The temporary name is hidden and ends like ``path``, because NiBabel and others choose the format by suffix.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
