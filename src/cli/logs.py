"""What happens to each scan, in a file or on the screen: the options ``--log`` and ``--debug``."""

import logging
import os
from pathlib import Path

import typer

from ..names import shown

LIBRARIES = ("ignite", "monai", "nibabel.global")
"""Loggers of libraries that would tell of the same errors once more."""


class Shown(logging.Formatter):
    """Formatter of lines in which nothing steers a terminal, see :func:`csvd.names.shown`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return shown(super().format(record))


def log_to(path: Path | None) -> Path | None:
    """Write the log of csvd to a file, after what is there; under ``torchrun`` each process but the first has its own.

    Raises:
        typer.BadParameter: the file cannot be written.
    """
    if path is None:
        return None
    rank = int(os.environ.get("RANK", "0"))
    try:
        handler = logging.FileHandler(f"{path}.{rank}" if rank else path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise typer.BadParameter(f"cannot write to '{path}' ({error.strerror}). Choose another file.") from None
    handler.setFormatter(Shown("%(asctime)s %(levelname)s %(message)s"))
    _listen(handler)
    return path


def log_to_screen(wanted: bool) -> bool:
    """Write the log of csvd to standard error too."""
    if wanted:
        handler = logging.StreamHandler()
        handler.setFormatter(Shown())
        _listen(handler)
    return wanted


def _listen(handler: logging.Handler) -> None:
    logging.disable(logging.NOTSET)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logger = logging.getLogger(__package__.partition(".")[0])
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
