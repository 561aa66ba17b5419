"""Finds cerebral microbleeds on MRI and tells small-vessel-disease subtypes apart. Research use only."""

from pathlib import Path

__version__ = "0.1.0"


def require(version: str) -> None:
    """Raise a RuntimeError unless this package has the version that a bundle was made with.

    A server with several bundles loads the package of the first for all of them.
    """
    if version != __version__:
        raise RuntimeError(
            f"the bundle was made with csvd {version}, and csvd {__version__} is loaded from "
            f"'{Path(__file__).parent}': use bundles and package of one release."
        )
