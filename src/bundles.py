"""Where the bundles are that came with this package."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from .checks import InputError, cause_of, is_foreseen, shortened

CONFIG = "configs/inference.json"


def find_bundle(name: str) -> Path:
    """Return the folder of a bundle that came with this package.

    A wheel holds the bundles inside the package. A source checkout has them beside it. A packed bundle is the folder
    around its package, and is named like the bundle; what follows the name, such as a version, does not count.

    Raises:
        InputError: none of them holds ``configs/inference.json``.
    """
    package = Path(str(files(__package__)))
    around = package.parent
    candidates = [package / "bundles" / name, around / "bundles" / name]
    if around.name.startswith(name):
        candidates.append(around)
    for folder in candidates:
        if (folder / CONFIG).is_file():
            return folder
    raise InputError(f"bundle '{name}' did not come with this installation of csvd: name its folder with --bundle.")


def came_with_csvd(bundle: Path) -> bool:
    """Return whether a folder is that of a bundle which came with this package."""
    folder = bundle.resolve()
    try:
        return find_bundle(folder.name).resolve() == folder
    except InputError:
        return False


def plain(path: str | Path) -> str:
    """Return a path as a config of MONAI takes it for text; one that begins with ``$`` would be run as code."""
    text = str(path)
    return os.path.join(os.curdir, text) if text.startswith(("$", "@", "%")) else text


@contextmanager
def making(bundle: Path) -> Iterator[None]:
    """Turn whatever MONAI raises while it makes something from the configs of a bundle into an InputError."""
    try:
        yield
    except Exception as error:
        cause = cause_of(error)
        if is_foreseen(error):
            raise InputError(str(cause)) from error
        raise InputError(
            f"bundle '{bundle}' cannot be made from its configs ({type(cause).__name__}: {shortened(cause)}): correct "
            "them, or give another bundle."
        ) from error


def find_overlay(bundle: Path, overlay: str | Path) -> Path:
    """Return the file of a config that goes over those of a bundle.

    Args:
        bundle: its folder.
        overlay: a file, or the name of one in the bundle's ``configs``, without ``.json``.

    Raises:
        InputError: there is no such file.
    """
    configs = bundle / "configs"
    for path in (configs / f"{overlay}.json", Path(overlay)):
        if path.is_file():
            return path
    raise InputError(
        f"overlay '{overlay}' does not exist: give a config (.json), or the name of one in '{configs}', such as paper."
    )
