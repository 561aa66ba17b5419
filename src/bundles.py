"""Where the bundles are that came with this package."""

from importlib.resources import files
from pathlib import Path

from .checks import InputError

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
