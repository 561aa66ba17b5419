"""Dated list of the pinned dependencies: which are the newest of that day, and what the newest of the others is.

pip asks its package index, as it is configured, about what is installed. A pin that is not installed, because it is for
another version of Python, is counted apart; one that is installed in another version is an error.

    python tools/pins.py > docs/dependencies.md
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def read_pins(path: Path) -> dict[str, str]:
    """Return the version that a file of constraints has for each package."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pins = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}


def installed_version(name: str) -> str | None:
    """Return the version of a package in this environment, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def newer_versions() -> dict[str, str]:
    """Return the newest version of each installed package that has a newer one in pip's index.

    Raises:
        subprocess.CalledProcessError: pip fails.
    """
    words = [sys.executable, "-m", "pip", "list", "--outdated", "--format", "json"]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {canonicalize_name(row["name"]): row["latest_version"] for row in json.loads(done.stdout)}


def page(pins: Mapping[str, str], newer: Mapping[str, str], missing: int) -> Iterator[str]:
    """Yield the lines of a page about pins, of which so many are not installed."""
    behind = {name: newer[name] for name in sorted(pins) if name in newer}
    day = datetime.now(timezone.utc).date().isoformat()
    compared = len(pins) - missing
    yield "# Dependencies"
    yield ""
    yield f"Of the {len(pins)} versions that `constraints.txt` pins, {compared} were compared with the package index on"
    yield f"{day}, by `python tools/pins.py`: {compared - len(behind)} were the newest. The others:"
    yield ""
    yield "| package | pinned | newest |"
    yield "|---|---|---|"
    yield from (f"| {name} | {pins[name]} | {latest} |" for name, latest in behind.items())


def main() -> None:
    """Print the page; the exit code is 1 where another version than the pinned one is installed."""
    pins = read_pins(CONSTRAINTS)
    installed = {name: installed_version(name) for name in pins}
    wrong = [name for name, found in installed.items() if found not in (None, pins[name])]
    for name in wrong:
        print(f"{name}: {pins[name]} is pinned, {installed[name]} is installed", file=sys.stderr)
    if wrong:
        sys.exit(1)
    missing = [name for name, found in installed.items() if found is None]
    print(*page(pins, newer_versions(), len(missing)), sep="\n")


if __name__ == "__main__":
    main()
