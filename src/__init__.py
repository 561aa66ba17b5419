"""csvd (cerebral small vessel disease): detects microbleeds on MRI and classifies subtypes. Research use only."""

import getpass
import os
from pathlib import Path

__version__ = "0.1.0"


def require(version: str) -> None:
    """Raise an InputError unless this package has the version that a bundle was made with.

    A server with several bundles loads the package of the first for all of them.
    """
    if version != __version__:
        from .checks import InputError  # here, so that importing the package loads nothing

        raise InputError(
            f"the bundle was made with csvd {version}, and csvd {__version__} is loaded from "
            f"'{Path(__file__).parent}': use bundles and package of one release."
        )


def _prepare_process() -> None:
    """Set what libraries read once, when they are loaded.

    A user id that no file lists, as of ``docker run --user``, gets a name and a home, for which MONAI and matplotlib
    ask. MKL adds up in one order with any number of threads, so that fully connected layers give the same bits.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = str(os.getuid())
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.sep  # as Docker has it


_prepare_process()
