"""The application, and what its commands share: options and how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Cerebral microbleeds on MRI. Research use only.",
)
console = Console()


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
OnDevice = Annotated[Device, typer.Option(help="Where the network runs.")]
AnySequence = Annotated[
    bool, typer.Option("--any-sequence", help="Do not ask the sequence gate whether the scan is fit.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that share the cores; see also torchrun.")]
Resume = Annotated[bool, typer.Option("--resume", help="Keep results that are there, do the rest.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]


def print_rows(rows: list[dict], out: Path, as_json: bool, say: Callable[[dict], str], bids: bool = False) -> None:
    """Print what came of each scan, and where to look; under ``torchrun`` the first process alone prints."""
    from ..cohorts import place
    from ..detection import page_path

    if place()[0]:
        return
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        if row["status"] == "failed":
            console.print(f"{row['case']}: failed: {row['reason']}", soft_wrap=True, markup=False)
            continue
        for warning in row["warnings"]:
            console.print(f"{row['case']}: warning: {warning}", soft_wrap=True, markup=False)
        page = page_path(out, row["case"], bids)
        console.print(f"{row['case']}: {say(row)}, see {page}", soft_wrap=True, markup=False)
    console.print("Research use only.")
