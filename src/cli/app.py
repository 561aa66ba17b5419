"""The application, and what its commands share: options and how results are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .. import __version__
from ..names import json_line
from .logs import log_to, log_to_screen
from .screen import is_terminal, print_columns, print_text

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console, errors = Console(), Console(stderr=True)


def print_version(wanted: bool) -> None:
    """Print the version and exit, where it is wanted."""
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def csvd(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """csvd (cerebral small vessel disease): detect cerebral microbleeds on MRI. Research use only.

    Exit codes: 0, all is done; 1, some scan failed, and its row says why; 2, the command cannot run.
    """


class Contrast(str, Enum):
    """How microbleeds look."""

    dark = "dark"
    bright = "bright"


class Device(str, Enum):
    """Device of the network."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


SOURCES = "Scan (.nii, .nii.gz), folder of scans, BIDS or DICOM, or data list (.json)."
Source = Annotated[Path, typer.Argument(help=SOURCES)]
Results = Annotated[Path, typer.Option(help="Output folder, with one folder per scan.")]
SeenAs = Annotated[
    Contrast | None,
    typer.Option(help="Microbleeds are dark on SWI and T2*-GRE, bright on QSM; default: detected from the scan."),
]
Mask = Annotated[Path | None, typer.Option(help="Brain mask on the grid of the scan; default: computed.")]
Section = Annotated[str, typer.Option(help="Section of the data list.")]
Volume = Annotated[int | None, typer.Option(help="Volume of a 4-D scan, from 0; default: the last.")]
BundleFolder = Annotated[
    Path | None, typer.Option(help="Bundle folder, whose configs run as code; default: the released bundle.")
]
Overlays = Annotated[
    list[str] | None,
    typer.Option(
        "--overlay", help="Config that overrides the bundle's: a file or a name, such as paper, the published cascade."
    ),
]
OnDevice = Annotated[Device, typer.Option(help="Device of the network.")]
AnySequence = Annotated[
    bool, typer.Option("--any-sequence", help="Analyse every scan, whatever its tags or pixels indicate.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Number of processes; see also torchrun.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep existing results and process the rest.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")]
Log = Annotated[
    Path | None,
    typer.Option(
        callback=log_to, help="Log file, appended: one line per scan with times and warnings, and tracebacks."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", callback=log_to_screen, help="Print the log on standard error too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]


def bundle_or_own(bundle: Path | None, name: str) -> Path:
    """Return the bundle that the user named, in a terminal with a word of warning, or the one that came with csvd."""
    from ..bundles import came_with_csvd, find_bundle

    if bundle is None:
        return find_bundle(name)
    if is_terminal(errors) and not came_with_csvd(bundle):
        print_text(errors, f"csvd: the configs of bundle '{bundle}' run as code: use only bundles that you trust.")
    return bundle


def print_rows(rows: list[dict], out: Path, as_json: bool, say: Callable[[dict], str], bids: bool = False) -> None:
    """Print what came of each scan, and where to look; under ``torchrun`` the first process alone prints.

    Raises:
        typer.Exit: some scan failed; the exit code is 1.
    """
    from ..workflows.pool import rank_and_world_size

    if rank_and_world_size()[0]:
        return  # with 0: torchrun ends the first process, which has tables to write, when another fails
    failed = [row for row in rows if row["status"] == "failed"]
    if as_json:
        print(json_line(rows))
    elif len(rows) > 1 and is_terminal(console):
        _print_table(rows, out, say)
    else:
        print_lines(rows, out, say, bids)
    if not as_json and len(rows) > 1:
        console.print(f"{len(rows) - len(failed)} of {len(rows)} scans done, {len(failed)} failed.")
    if not as_json:
        console.print("Research use only.")
    if failed:
        raise typer.Exit(1)


def found_in(row: Mapping[str, Any]) -> str:
    """Return what the detector found in a scan, in words."""
    total = row["counts"]["total"]
    return f"{total} suspected microbleed{'s' * (total != 1)}"


def print_lines(rows: list[dict], out: Path, say: Callable[[dict], str], bids: bool) -> None:
    """Print a line a scan."""
    from ..workflows.cohort import page_path

    for row in rows:
        _print_remarks(row)
        if row["status"] != "failed":
            print_text(console, f"{row['case']}: {say(row)}, see {page_path(out, row['case'], bids)}")


def _print_table(rows: list[dict], out: Path, say: Callable[[dict], str]) -> None:
    """Print a table of scans and, below it, what the user must be told of them."""
    from ..workflows.cohort import page_path

    cells = [(row["case"], "failed" if row["status"] == "failed" else say(row)) for row in rows]
    print_columns(console, ("scan", "result"), cells)
    for row in rows:
        _print_remarks(row)
    page = out / "index.html"
    print_text(console, f"see {page if page.exists() else page_path(out, '<scan>')}")


def _print_remarks(row: dict) -> None:
    """Print the warnings of a scan or, on standard error, why it failed."""
    if row["status"] == "failed":
        print_text(errors, f"{row['case']}: failed: {row['reason']}")
        return
    for warning in row["warnings"]:
        print_text(console, f"{row['case']}: warning: {warning}")
