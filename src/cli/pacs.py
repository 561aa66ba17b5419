"""The part of ``csvd detect`` that speaks to a DICOMweb server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checks import InputError
from ..names import json_line
from .app import console, errors, found_in, print_lines, print_rows
from .screen import print_text

PANEL = "DICOMweb"
Server = Annotated[
    str | None,
    typer.Option(
        "--dicomweb",
        metavar="URL",
        rich_help_panel=PANEL,
        help="Address of a DICOMweb server that has the scans, in place of a source. Credentials come from the "
        "environment or netrc.",
    ),
]
Studies = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="UID", rich_help_panel=PANEL, help="StudyInstanceUID; may be given repeatedly."),
]
Watch = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        rich_help_panel=PANEL,
        help="Wait for studies that match, such as ModalitiesInStudy=MR, and take each once; repeated: all must match.",
    ),
]
Interval = Annotated[
    float, typer.Option(min=0.1, rich_help_panel=PANEL, help="Seconds between two questions of --watch.")
]
Store = Annotated[
    bool,
    typer.Option("--store", rich_help_panel=PANEL, help="Send DICOM segmentation and report back to the server, once."),
]


def check_no_files(source: Path | None, options: Mapping[str, Any]) -> None:
    """Raise an InputError where a server is to be asked and files are named too.

    Args:
        source: scans in files.
        options: further ones that concern files, by name.
    """
    named = [f"--{name}" for name, value in options.items() if value not in (None, False, "test")]
    if source is not None or named:
        what = named[0] if named else f"source '{source}'"
        raise InputError(f"{what} is about files, --dicomweb is about a server: leave one of them out.")


def detect_on_server(
    url: str | None,
    studies: list[str],
    filters: list[str],
    interval: float,
    out: Path,
    bundle: Path,
    as_json: bool,
    how: Mapping[str, Any],
) -> None:
    """Detect microbleeds in the studies of a server, and print what came of each.

    Args:
        url: of the server.
        studies: which ones; none with ``filters``.
        filters: which ones to wait for.
        interval: seconds between two questions.
        out: folder of the results.
        bundle: folder of the detection bundle.
        as_json: print JSON, one line a study when waiting.
        how: further arguments of :func:`csvd.workflows.pacs.detect_cases`.

    Raises:
        InputError: options do not go together.
        typer.Exit: some study failed; the exit code is 1.
    """
    if url is None:
        raise InputError("--study, --watch and --store need a server: give --dicomweb URL.")
    if bool(studies) == bool(filters):
        raise InputError(f"--dicomweb '{url}' needs either --study UID or --watch NAME=VALUE. Give one of them.")

    def say(row: Mapping[str, Any]) -> str:
        stored = f", {row['stored']} DICOM objects stored" if "stored" in row else ""
        return f"{found_in(row)}{stored}"

    if studies:
        from ..workflows.pacs import detect_studies

        print_rows(detect_studies(url, studies, out, bundle, **how), out, as_json, say)
        return
    from ..io.dicom.web import filters_of
    from ..workflows.watch import Stop, watch

    def tell(row: dict[str, Any]) -> None:
        if as_json:
            print(json_line(row), flush=True)
        else:
            print_lines([row], out, say, bids=False)

    def complain(text: str) -> None:
        print_text(errors, f"csvd: {text}")

    if how["overwrite"] or how["jobs"] > 1:
        raise InputError("--watch works on one study at a time, and on none twice: leave out --overwrite and --jobs.")
    how = {name: value for name, value in how.items() if name != "overwrite"}
    with Stop().by_signal() as stop:
        ways: dict[str, Any] = {"interval": interval, "stop": stop, "say": tell, "complain": complain}
        rows = watch(url, filters_of(filters), out, bundle, **ways, **how)
    if not as_json:
        console.print("Research use only.")
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(1)
