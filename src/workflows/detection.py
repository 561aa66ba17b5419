"""Run a bundle on scans: the work behind ``csvd detect`` and ``csvd classify``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from .. import __version__
from ..checks import InputError
from ..io import Case, check_derivative, check_output, find_cases, is_bids, write_subtypes
from ..io.bids.description import write_description
from ..io.bids.labels import Labels
from ..io.bids.outcomes import write_outcomes
from ..io.temporary import alone_in, temporary_folder
from ..names import with_source, without_folders
from .cohort import lesions_path, write_cohort, write_derivative_cohort
from .pool import Row, attempt, gather, local_device, own_share, rank_and_world_size, run_each
from .results import Result
from .runner import WRITER, BundleRunner, fingerprint, read_config, record_path, taken_over


def detect(source: Path | Sequence[Case], out: Path, bundle: Path, **how: Any) -> list[Row]:
    """Detect microbleeds, see :func:`run_bundle`.

    Args:
        source: see :func:`run_bundle`.
        out: see :func:`run_bundle`.
        bundle: folder of the detection bundle.
        how: further arguments of :func:`run_bundle`.
    """
    return run_bundle(source, out, bundle, write_cohort, gate_bundle=bundle, **how)


def classify(source: Path, out: Path, bundle: Path, *, gate_bundle: Path | None, **how: Any) -> list[Row]:
    """Tell subtypes of small vessel disease apart, see :func:`run_bundle`.

    Args:
        source: see :func:`run_bundle`.
        out: see :func:`run_bundle`.
        bundle: folder of the classification bundle.
        gate_bundle: folder of the detection bundle, whose gate says what a scan is.
        how: further arguments of :func:`run_bundle`; ``known`` may have ``age``, ``sex`` and ``label``.
    """
    return run_bundle(source, out, bundle, write_subtypes, gate_bundle=gate_bundle, **how)


def run_bundle(
    source: Path | Sequence[Case],
    out: Path,
    bundle: Path,
    write_table: Callable[[Sequence[Row], Path], None],
    *,
    gate_bundle: Path | None = None,
    any_sequence: bool = False,
    overlays: Sequence[str | Path] = (),
    mask: Path | None = None,
    known: Mapping[str, Any] | None = None,
    phase: Path | None = None,
    section: str = "test",
    overwrite: bool = False,
    resume: bool = False,
    jobs: int = 1,
    dicom: bool = False,
    bids: bool = False,
    labels: Labels | None = None,
    cohort: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Run a bundle on a scan, a folder of scans, DICOM studies or a data list.

    Under ``torchrun`` each process takes its share, and all return all rows.

    Args:
        source: ``.nii``, ``.nii.gz``, a folder of them, a BIDS or a DICOM folder, or a data list (``.json``); or the
            scans themselves.
        out: folder of the results, one folder a case, and a table and a page for more than one.
        bundle: its folder.
        write_table: writes ``cohort.tsv``.
        gate_bundle: see :class:`BundleRunner`.
        any_sequence: detect whatever the sequence gate says of a scan.
        overlays: further configs over that of the bundle, see :func:`csvd.bundles.find_overlay`.
        mask: brain mask of a single scan, on its grid.
        known: what a data list would say of a single scan.
        phase: phase image or QSM of a single scan, on its grid; else what lies beside it.
        section: part of a data list to read.
        overwrite: replace the results of an earlier run.
        resume: keep the results of an earlier run with the same settings, and try again what failed.
        jobs: processes, see :func:`csvd.workflows.pool.run_each`.
        dicom: write a DICOM segmentation and a structured report beside the other results of a DICOM study.
        bids: write a BIDS derivative, see :mod:`csvd.io.bids.derivative`; ``source`` is a BIDS folder. Only when asked
            for, because BIDS leaves no place for one folder a scan.
        labels: participants and sessions of a BIDS folder; all when not given.
        cohort: write what a BIDS derivative says of all its scans; false where others write to it at the same time.
        settings: further values for the inference config, by config id.

    Returns:
        A row a case: name, ``status`` ("ok" or "failed"), and either the content of the case's JSON or the ``reason``.
        It is the same whatever scans are worked on before.

    Raises:
        InputError: the input or output cannot be used, another run writes tables of a cohort to ``out``, or results to
            resume were made with other settings. A bad scan is a row.
    """
    if bids and not (isinstance(source, Path) and source.is_dir() and is_bids(source)):
        raise InputError(f"--bids needs a BIDS folder, input '{source}' is none. Give its root, or leave --bids out.")
    with ExitStack() as stack:
        workdir = stack.enter_context(temporary_folder())
        results = workdir / "results" if bids else out
        settings = {"output_dir": str(results), "overwrite": overwrite, **local_device(), **(settings or {})}
        cases = (
            find_cases(source, mask=mask, section=section, known=known, phase=phase, labels=labels)
            if isinstance(source, Path)
            else [*source]
        )
        own = own_share(cases)
        if dicom and not all(case.is_dicom for case in cases):
            raise InputError(f"--dicom needs the DICOM files of a scan, input '{source}' is not DICOM. Leave it out.")

        def config_of(contrast: str, sequence: str | None = None) -> ConfigParser:
            return read_config(bundle, {"contrast": contrast, "sequence": sequence, **settings}, overlays)

        config_of("dark")  # what cannot be read is said before any scan
        done = _finished(own, out, config_of, bids) if resume else []
        left = [case for case in own if case.name not in {row["case"] for row in done}]
        (check_derivative if bids else check_output)(out, [case.name for case in left], overwrite=overwrite)
        first = rank_and_world_size()[0] == 0
        if first and (cohort if bids else len(cases) > 1):
            stack.enter_context(alone_in(out))
        if dicom:
            done = [_with_dicom(row, out, next(case for case in own if case.name == row["case"])) for row in done]
        how: dict[str, Any] = {"derivative": out if bids else None, "any_sequence": any_sequence, "overlays": overlays}
        make = partial(BundleRunner, bundle, settings, gate_bundle, dicom, **how)
        told = done + [_with_earlier(row, out, bids) for row in run_each(left, make, jobs)]
        paths = {case.name: [*case.paths, out, bundle] for case in cases}
        if bids:
            write_outcomes([_to_write(row, paths) for row in told], out)
        rows = gather(told, cases)
        written = [_to_write(row, paths) for row in rows]
        if first and bids and isinstance(source, Path):
            write_derivative_cohort(written, out, source) if cohort else write_description(out, source)
        elif first and len(cases) > 1:
            write_table(written, out / "cohort.tsv")
    return rows


def _to_write(row: Row, paths: Mapping[str, Sequence[Path]]) -> Row:
    """Return the row of a scan for tables and pages: its reason, if it failed, names files without their folders."""
    return {**row, "reason": without_folders(row["reason"], *paths[row["case"]])} if row["status"] == "failed" else row


def _earlier(out: Path, case: str, bids: bool) -> Path | None:
    """Return the JSON of a case that an earlier run left, None without one."""
    try:
        path = record_path(out, case, bids)
    except InputError:  # no BIDS name, so no place for a result
        return None
    return path if path.exists() else None


def _with_earlier(row: Row, out: Path, bids: bool) -> Row:
    """Return the row of a scan; if it failed, and an earlier run left a result, the reason says so."""
    path = _earlier(out, row["case"], bids)
    if row["status"] == "ok" or path is None:
        return row
    return {**row, "reason": f"{row['reason']} The result of an earlier run is still in '{path.parent}'."}


def _with_dicom(row: Row, out: Path, case: Case) -> Row:
    """Write the DICOM objects of a result that is there, where it has none, and return its row."""
    from ..io.dicom.source import find_source
    from ..io.dicom.writer import write_dicom

    folder = out / case.name
    if row["status"] == "failed" or any(folder.glob("*.dcm")):
        return row

    def add(case: Case) -> Result:
        with temporary_folder() as workdir:
            try:
                scan = case.converted(workdir)
                write_dicom(folder, case.name, find_source(scan.image, scan.dicom))
            except InputError as error:
                raise InputError(with_source(str(error), str(workdir), case.source)) from error
        return Result(row)

    return attempt(add, case).row


def _finished(
    cases: Sequence[Case], out: Path, config_of: Callable[[str, str | None], ConfigParser], bids: bool
) -> list[Row]:
    """Return the rows of those cases that have results; a scan that was changed since is a row that failed.

    Args:
        cases: scans.
        out: folder of the results.
        config_of: the config of a contrast and a sequence.
        bids: whether they are a BIDS derivative.

    Raises:
        InputError: they were made with other settings, or by another version.
    """

    @cache
    def expected(contrast: str, sequence: str | None) -> tuple[Row, Collection[str]]:
        config = config_of(contrast, sequence)
        writer = config.get_parsed_content(WRITER)
        wanted = {"settings": writer.settings, "threshold": getattr(writer, "threshold", None), "csvd": __version__}
        return json.loads(json.dumps(wanted)), taken_over(config)

    rows = []
    for case in cases:
        path = _earlier(out, case.name, bids)
        if path is None:
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        wanted, also = expected(record.get("contrast", "dark"), record.get("sequence"))
        made = {**{name: record.get(name) for name in wanted}, "csvd": record["versions"]["csvd"]}
        for name, value in wanted.items():
            if made[name] != value:
                raise InputError(
                    f"result '{path}' cannot be resumed: its {name} must be {value}, as now asked for, it is "
                    f"{made[name]}. Give the same settings, another --out, or --overwrite in place of --resume."
                )
        rows.append(attempt(partial(_unchanged, record, path, lesions_path(out, case.name, bids), also), case).row)
    return rows


def _unchanged(record: Row, path: Path, lesions: Path, also: Collection[str], case: Case) -> Result:
    """Return the result that a JSON holds, if it is that of the scan as it is now, with its table of lesions."""
    if not lesions.exists():
        raise InputError(f"result '{path}' cannot be resumed: its table '{lesions}' is not there. Remove that result.")
    if record.get("source_sha256") != fingerprint(case, also):
        raise InputError(
            f"result '{path}' cannot be resumed: '{case.source}', or what is known of it, was changed since. Remove "
            "that result, or give --overwrite in place of --resume."
        )
    return Result(record)
