"""The command ``csvd``: thin, over the bundles' own configs."""

import logging
import sys
import warnings

from ..checks import first_cause
from . import scans  # noqa: F401  # each module adds its commands, in the order of the help

# isort: split
from . import data, measure  # noqa: F401
from .app import app


def main() -> None:
    """Run the command line; a bad input is one line on standard error and exit code 2."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # the engine logs errors with their traceback; they are printed below
    try:
        app()
    except Exception as error:
        cause = first_cause(error)
        if not isinstance(cause, ValueError | OSError):
            raise
        print(f"csvd: {cause}", file=sys.stderr)
        sys.exit(2)
