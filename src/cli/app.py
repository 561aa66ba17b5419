"""The application, and what its commands share: options and how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .. import __version__
from ..names import shown, storable
from .logs import log_to, log_to_screen

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console, errors = Console(), Console(stderr=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def csvd(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Cerebral microbleeds on MRI. Research use only.

    Exit codes: 0, all is done; 1, some scan failed, and its row says why; 2, the command cannot run.
    """


class Contrast(str, Enum):
    """How microbleeds look."""

    dark = "dark"
    bright = "bright"


class Device(str, Enum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Source = Annotated[
    Path, typer.Argument(help="Scan (.nii, .nii.gz), folder of scans, BIDS or DICOM, or data list (.json).")
]
Results = Annotated[Path, typer.Option(help="Folder of the results: one folder a scan.")]
SeenAs = Annotated[
    Contrast | None,
    typer.Option(help="Microbleeds are dark on SWI and T2*-GRE, bright on QSM; seen from the scan when not given."),
]
Mask = Annotated[Path | None, typer.Option(help="Brain mask on the scan's grid; made when not given.")]
Section = Annotated[str, typer.Option(help="Part of a data list to read.")]
Volume = Annotated[int | None, typer.Option(help="Volume of a 4-D scan, from 0; the last when not given.")]
BundleFolder = Annotated[Path | None, typer.Option(help="Folder of the bundle; the one that came with csvd.")]
Overlays = Annotated[
    list[str] | None,
    typer.Option("--overlay", help="Config over the bundle's: a file, or a name: paper is the cascade of the paper."),
]
OnDevice = Annotated[Device, typer.Option(help="Where the network runs.")]
AnySequence = Annotated[
    bool, typer.Option("--any-sequence", help="Refuse no scan, whatever its tags or its pixels say.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that share the cores; see also torchrun.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep results that are there, do the rest.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
Log = Annotated[
    Path | None,
    typer.Option(callback=log_to, help="File to add a line a scan to: times, warnings, and the tracebacks of errors."),
]
Debug = Annotated[
    bool, typer.Option("--debug", callback=log_to_screen, help="Print that log on the screen too (standard error).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]


def print_rows(rows: list[dict], out: Path, as_json: bool, say: Callable[[dict], str], bids: bool = False) -> None:
    """Print what came of each scan, and where to look; under ``torchrun`` the first process alone prints.

    Raises:
        typer.Exit: some scan failed; the exit code is 1.
    """
    from ..workflows.detection import page_path
    from ..workflows.pool import rank_and_world_size

    if rank_and_world_size()[0]:
        return  # with 0: torchrun ends the first process, which has tables to write, when another fails
    failed = [row for row in rows if row["status"] == "failed"]
    if as_json:
        print(storable(json.dumps(rows, ensure_ascii=False)))
    else:
        for row in rows:
            _print_row(row, say, lambda case: page_path(out, case, bids))
        if len(rows) > 1:
            console.print(f"{len(rows) - len(failed)} of {len(rows)} scans done, {len(failed)} failed.")
        console.print("Research use only.")
    if failed:
        raise typer.Exit(1)


def _print_row(row: dict, say: Callable[[dict], str], page: Callable[[str], Path]) -> None:
    if row["status"] == "failed":
        errors.print(shown(f"{row['case']}: failed: {row['reason']}"), soft_wrap=True, markup=False)
        return
    for warning in row["warnings"]:
        console.print(shown(f"{row['case']}: warning: {warning}"), soft_wrap=True, markup=False)
    console.print(shown(f"{row['case']}: {say(row)}, see {page(row['case'])}"), soft_wrap=True, markup=False)
