"""The command ``csvd-bids``: detection as a BIDS App."""

import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from . import main as run_command
from .app import (
    AnySequence,
    BundleFolder,
    Debug,
    Jobs,
    Log,
    Overwrite,
    Resume,
    bundle_or_own,
    console,
    errors,
    found_in,
    print_rows,
    print_version,
)
from .screen import print_text

LABELLED = ("--participant-label", "--participant_label", "--session-label", "--session_label")
"""Options that BIDS Apps let several values follow."""

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


class Level(str, Enum):
    """Level of the analysis."""

    participant = "participant"
    group = "group"


@app.command()
def bids_app(
    bids_dir: Annotated[Path, typer.Argument(help="Folder of the BIDS data set; nothing is written there.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder of the results, a BIDS derivative.")],
    analysis_level: Annotated[
        Level, typer.Argument(help="participant: detect in each scan; group: tables and page of all results.")
    ],
    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            "--participant-label",
            "--participant_label",
            help="Participants, one or more, with or without sub-; default: all.",
        ),
    ] = None,
    session_label: Annotated[
        list[str] | None,
        typer.Option(
            "--session-label", "--session_label", help="Sessions, one or more, with or without ses-; default: all."
        ),
    ] = None,
    skip_bids_validator: Annotated[
        bool, typer.Option("--skip-bids-validator", "--skip_bids_validator", help="Do not validate the data set.")
    ] = False,
    bundle: BundleFolder = None,
    any_sequence: AnySequence = False,
    jobs: Jobs = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    log: Log = None,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", "-v", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Detect cerebral microbleeds in a BIDS data set, as a BIDS App. Research use only.

    Participants may run at the same time into one OUTPUT_DIR, each in a process or container of its own.
    The level group collects what they wrote.

    Exit codes: 0, all is done; 1, some scan failed, and its row says why; 2, the command cannot run.
    """
    from ..workflows.bids_app import read_dataset, run_group, run_participants, validate

    labels = read_dataset(bids_dir, participant_label or (), session_label or ())
    if analysis_level is Level.group:
        rows, missing = run_group(bids_dir, output_dir, labels)
        if missing:
            print_text(errors, f"without a result, because `participant` has not run: {', '.join(missing)}")
        failed = sum(row["status"] == "failed" for row in rows)
        print_text(console, f"{len(rows)} scans, {failed} of them failed: see {output_dir / 'index.html'}")
        console.print("Research use only.")
        return
    if not skip_bids_validator:
        print_text(errors, validate(bids_dir, labels))
    bundle = bundle_or_own(bundle, "cmb_detection")
    how: dict[str, Any] = {"any_sequence": any_sequence, "jobs": jobs, "resume": resume, "overwrite": overwrite}
    rows, missing = run_participants(bids_dir, output_dir, bundle, labels, **how)
    if missing:
        print_text(errors, f"without a susceptibility scan: {', '.join(missing)}")
    print_rows(rows, output_dir, False, found_in, bids=True)


def main() -> None:
    """Run the command line, see :func:`csvd.cli.main`."""
    run_command(partial(app, [*repeat_options(sys.argv[1:])]))


def repeat_options(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line, where each of several labels that follow an option gets that option.

    Labels end where another option or a level of the analysis follows.
    """
    option, first = None, True
    for word in words:
        if word.startswith("-") or word in list(Level):
            option, first = (word if word in LABELLED else None), True
        elif option is not None and not first:
            yield option
        elif option is not None:
            first = False
        yield word


if __name__ == "__main__":
    main()
