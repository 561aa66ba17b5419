"""Commands that take scans: ``csvd detect``, ``classify``, ``sort``."""

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..names import json_line
from ..processes import quick_imports
from .app import (
    SOURCES,
    AnySequence,
    AsJson,
    BundleFolder,
    Contrast,
    Debug,
    Device,
    Jobs,
    Log,
    Mask,
    OnDevice,
    Overlays,
    Overwrite,
    Results,
    Resume,
    Section,
    SeenAs,
    Source,
    Volume,
    app,
    bundle_or_own,
    console,
    found_in,
    print_rows,
)
from .pacs import Interval, Server, Store, Studies, Watch, check_no_files, detect_on_server
from .screen import print_text
from .series import print_series


@app.command()
def detect(
    out: Results,
    source: Annotated[Path | None, typer.Argument(help=SOURCES)] = None,
    contrast: SeenAs = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Probability threshold; default: that of the operating point.")
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Operating point: best_f1, sensitivity_90 or one_fp.")
    ] = None,
    mask: Mask = None,
    phase: Annotated[
        Path | None,
        typer.Option(help="Phase image or QSM (_qsm, _Chimap) on the grid of the scan; default: the file beside it."),
    ] = None,
    drop_diamagnetic: Annotated[
        bool, typer.Option("--drop-diamagnetic", help="Remove lesions that phase or QSM shows to be calcified.")
    ] = False,
    section: Section = "test",
    volume: Volume = None,
    bundle: BundleFolder = None,
    overlay: Overlays = None,
    device: OnDevice = Device.auto,
    any_sequence: AnySequence = False,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write a DICOM segmentation and structured report of a DICOM study.")
    ] = False,
    bids: Annotated[bool, typer.Option("--bids", help="Write a BIDS derivative; the source is a BIDS folder.")] = False,
    dicomweb: Server = None,
    study: Studies = None,
    watch: Watch = None,
    interval: Interval = 60.0,
    store: Store = False,
    jobs: Jobs = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log: Log = None,
    debug: Debug = False,
) -> None:
    """Detect microbleeds: csvd detect sub-01_swi.nii.gz --out results"""
    settings = _settings(contrast, volume, device, threshold=threshold, operating_point=operating_point)
    if drop_diamagnetic:
        settings["drop_diamagnetic"] = True
    how: dict[str, Any] = {"jobs": jobs, "resume": resume, "overwrite": overwrite, "overlays": overlay or ()}
    how |= {"any_sequence": any_sequence, "dicom": dicom, "settings": settings}
    bundle = bundle_or_own(bundle, "cmb_detection")
    of_files = {"mask": mask, "phase": phase, "section": section, "bids": bids}
    if dicomweb or study or watch or store:
        check_no_files(source, of_files)
        detect_on_server(dicomweb, study or [], watch or [], interval, out, bundle, as_json, {**how, "store": store})
        return
    if source is None:
        raise typer.BadParameter("give a scan, a folder or a data list, or --dicomweb URL.", param_hint="SOURCE")
    with quick_imports():
        from ..workflows.detection import detect as detect_scans

    rows = detect_scans(source, out, bundle, **how, **of_files)
    print_rows(rows, out, as_json, found_in, bids)


class Sex(str, Enum):
    """Of the subject."""

    female = "F"
    male = "M"


@app.command()
def classify(
    source: Source,
    out: Results,
    age: Annotated[
        float | None, typer.Option(help="Age in years, for a single scan; default: from the data list.")
    ] = None,
    sex: Annotated[Sex | None, typer.Option(help="Sex, for a single scan; default: from the data list.")] = None,
    lesions: Annotated[
        Path | None, typer.Option(help="Microbleed mask on the grid of a single scan; default: detected.")
    ] = None,
    contrast: SeenAs = None,
    mask: Mask = None,
    section: Section = "test",
    volume: Volume = None,
    bundle: BundleFolder = None,
    device: OnDevice = Device.auto,
    any_sequence: AnySequence = False,
    jobs: Jobs = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    log: Log = None,
    debug: Debug = False,
) -> None:
    """Classify the subtype of small vessel disease: csvd classify sub-01_swi.nii.gz --age 71 --sex F --out results"""
    from ..bundles import find_bundle

    with quick_imports():
        from ..workflows.detection import classify as classify_scans

    known = {"age": age, "sex": sex and sex.value, "label": lesions and str(lesions)}
    how: dict[str, Any] = {"mask": mask, "section": section, "jobs": jobs, "resume": resume, "overwrite": overwrite}
    how |= {"known": known, "settings": _settings(contrast, volume, device)}
    how |= {"any_sequence": any_sequence, "gate_bundle": find_bundle("cmb_detection")}
    rows = classify_scans(source, out, bundle_or_own(bundle, "csvd_classification"), **how)
    print_rows(rows, out, as_json, _subtype_of)


def _subtype_of(row: dict) -> str:
    """Return the answer for a scan, with its probability, or why there is none."""
    if row["subtype"] is None:
        return f"subtype not applicable: {row['reason']}"
    return f"{row['subtype']} {row['probabilities'][row['subtype']]:.2f}"


def _settings(contrast: Contrast | None, volume: int | None, device: Device, **more: Any) -> dict[str, Any]:
    """Return the values of a config that the user gave."""
    settings = {"contrast": contrast and contrast.value, "volume": volume, **more}
    if device is not Device.auto:
        settings["device"] = f"$torch.device('{device.value}')"
    return {name: value for name, value in settings.items() if value is not None}


@app.command()
def report(results: Annotated[Path, typer.Argument(help="Folder of the results of csvd detect.")]) -> None:
    """Write table and page of a cohort again: csvd report results"""
    from ..workflows.cohort import report as report_cohort

    print_text(console, f"see {report_cohort(results)}. Research use only.")


@app.command()
def sort(
    study: Annotated[Path, typer.Argument(help="Folder with DICOM series or NIfTI files, also in subfolders.")],
    bundle: BundleFolder = None,
    as_json: AsJson = False,
    log: Log = None,
    debug: Debug = False,
) -> None:
    """Identify the sequence of each series, and whether it is suitable: csvd sort STUDY_DIR"""
    with quick_imports():
        from ..workflows.gate import sort_study

    rows = sort_study(study, bundle_or_own(bundle, "cmb_detection"))
    if as_json:
        print(json_line([asdict(row) for row in rows]))
        raise typer.Exit(int(any(row.found is None for row in rows)))
    print_series(rows)
    raise typer.Exit(int(any(row.found is None for row in rows)))
