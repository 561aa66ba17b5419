"""``python -m csvd.cli``."""

from . import main

main()
