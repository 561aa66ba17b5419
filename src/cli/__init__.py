"""The command ``csvd``: thin, over the bundles' own configs."""

import io
import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

from ..checks import reason
from ..names import shown
from ..processes import end_at_sigterm
from . import scans  # noqa: F401  # each module adds its commands, in the order of the help

# isort: split
from . import data, measure  # noqa: F401
from .app import app


def main(command: Callable[[], None] = app) -> None:
    """Run a command line, by default ``csvd``; exit code 2 when it cannot run, after one line on standard error."""
    end_at_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # of a file that cannot be told where it is
                stream.reconfigure(errors="replace")  # a screen that cannot show a name must not stop the work
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # lifted by --log and --debug
    try:
        command()
    except Exception as error:
        logging.getLogger(__name__).error("csvd cannot go on", exc_info=error)
        print(f"csvd: {shown(reason(error))}", file=sys.stderr)
        sys.exit(2)
