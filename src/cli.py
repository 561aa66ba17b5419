"""The command ``csvd``: thin, over the bundles' own configs."""

from __future__ import annotations

import logging
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from .checks import InputError, first_cause

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Cerebral microbleeds on MRI. Research use only.",
)
console = Console()
AXES = ("x_mm", "y_mm", "z_mm")


class Contrast(str, Enum):
    """How microbleeds look."""

    dark = "dark"
    bright = "bright"


class Device(str, Enum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@app.command()
def detect(
    source: Annotated[
        Path, typer.Argument(help="Scan (.nii, .nii.gz), folder of scans or DICOM, or data list (.json).")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the results: one folder a scan.")],
    contrast: Annotated[
        Contrast | None,
        typer.Option(help="Microbleeds are dark on SWI and T2*-GRE, bright on QSM; seen from the scan when not given."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest probability; else that of the operating point.")
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="best_f1, sensitivity_90 or one_fp: which threshold to take.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Brain mask on the scan's grid; made when not given.")] = None,
    phase: Annotated[
        Path | None, typer.Option(help="Phase image or QSM (_qsm, _Chimap) on the scan's grid; else that beside it.")
    ] = None,
    drop_diamagnetic: Annotated[
        bool, typer.Option("--drop-diamagnetic", help="Leave out what phase or QSM says is calcified.")
    ] = False,
    section: Annotated[str, typer.Option(help="Part of a data list to read.")] = "test",
    volume: Annotated[int | None, typer.Option(help="Volume of a 4-D scan, from 0; the last when not given.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle; the one that came with csvd.")] = None,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    any_sequence: Annotated[
        bool, typer.Option("--any-sequence", help="Do not ask the sequence gate whether the scan is fit.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
) -> None:
    """Find microbleeds: csvd detect sub-01_swi.nii.gz --out results"""
    from .detection import detect as detect_scans
    from .detection import find_bundle

    settings: dict[str, object] = {} if contrast is None else {"contrast": contrast.value}
    if threshold is not None:
        settings["threshold"] = threshold
    if operating_point is not None:
        settings["operating_point"] = operating_point
    if volume is not None:
        settings["volume"] = volume
    if drop_diamagnetic:
        settings["drop_diamagnetic"] = True
    if device is not Device.auto:
        settings["device"] = f"$torch.device('{device.value}')"
    rows = detect_scans(
        source,
        out,
        bundle or find_bundle("cmb_detection"),
        mask=mask,
        phase=phase,
        section=section,
        overwrite=overwrite,
        any_sequence=any_sequence,
        settings=settings,
    )
    print_rows(rows, out)


@app.command()
def sort(
    study: Annotated[Path, typer.Argument(help="Folder with DICOM series or NIfTI files, also in subfolders.")],
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle; the one that came with csvd.")] = None,
) -> None:
    """Name the sequence of each series, and which the detector takes: csvd sort STUDY_DIR"""
    from .detection import find_bundle
    from .gate import sort_study

    table = Table(box=SIMPLE, collapse_padding=True)
    for name in ("series", "sequence", "pixels", "prob.", "tags", "detector", "remark"):
        table.add_column(name, overflow="fold")
    for row in sort_study(study, bundle or find_bundle("cmb_detection")):
        if row.named is None:
            table.add_row(row.name, "", "", "", "", "no", row.reason)
            continue
        fit = "no" if row.named.contrast is None else f"yes, {row.named.contrast}"
        seen = (row.named.pixels, f"{row.named.probability:.2f}", row.named.tags or "")
        table.add_row(row.name, row.named.sequence, *seen, fit, row.named.warning)
    console.print(table, markup=False)
    console.print("Research use only.")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder of the simulated cohort.")],
    preset: Annotated[
        str, typer.Option(help="Protocol, for example ukbb, oxvasc, qsm, random; or study, all sequences.")
    ] = "ukbb",
    subjects: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    phenotype: Annotated[
        str | None, typer.Option(help="healthy, aSVD, CAA or CADASIL; a mixture when not given.")
    ] = None,
    lesions: Annotated[
        float | None, typer.Option(help="Median microbleeds of a subject who has any; the protocol's when not given.")
    ] = None,
    mimics: Annotated[
        float | None, typer.Option(help="How many times as many mimics as people have; the protocol's when not given.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="With skull and scalp around the brain.")] = False,
    split: Annotated[tuple[float, float, float], typer.Option(help="Training, validation and test fractions.")] = (
        0.8,
        0.1,
        0.1,
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all cores when not given.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a cohort that is there.")] = False,
) -> None:
    """Simulate a cohort: csvd phantom --preset ukbb --subjects 10 --out cohort --seed 1"""
    from .phantom import write_cohort, write_studies

    how: dict[str, Any] = {"jobs": jobs, "split": split, "overwrite": overwrite}
    if preset == "study":
        if head or phenotype or lesions or mimics:
            raise InputError("preset 'study' takes no --head, --phenotype, --lesions or --mimics: leave them out.")
        datalist = write_studies(subjects, out, seed, **how)
    else:
        how |= {"head": head, "phenotype": phenotype, "lesions": lesions, "mimics": mimics}
        datalist = write_cohort(preset, subjects, out, seed, **how)
    console.print(f"{subjects} simulated subjects: {datalist}")


class Layout(str, Enum):
    """How a data set is laid out."""

    bids = "bids"
    valdo = "valdo"
    dou = "dou"
    aibl = "aibl"


@app.command()
def datalist(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    layout: Annotated[Layout, typer.Option(help="BIDS, or a public set: VALDO Task 2, Dou (SWI), AIBL (Momeni).")],
    out: Annotated[Path, typer.Option(help="The data list to write (.json).")],
    split: Annotated[tuple[float, float, float], typer.Option(help="Training, validation and test fractions.")] = (
        0.8,
        0.1,
        0.1,
    ),
    seed: Annotated[int, typer.Option(help="Of the shuffling of subjects.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a data list that is there.")] = False,
) -> None:
    """Make a data list of a data set: csvd datalist Task2 --layout valdo --out datalist.json"""
    from .data import read_layout
    from .splits import write_datalist

    if out.exists() and not overwrite:
        raise InputError(f"output '{out}' exists already: choose another name or --overwrite it.")
    subjects = read_layout(root, layout.value)
    about = f"{layout.value}: {len(subjects)} subjects, shuffled with seed {seed}. Research use only."
    write_datalist(out, subjects, split, seed, name=root.absolute().name, description=about)
    scans = sum(map(len, subjects))
    labelled = sum("label" in item or "points" in item for items in subjects for item in items)
    console.print(f"{scans} scans of {len(subjects)} subjects, {labelled} annotated: {out}", soft_wrap=True)


@app.command()
def pack(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    out: Annotated[Path, typer.Option(help="The archive to write (.zip).")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an archive that is there.")] = False,
) -> None:
    """Make a shareable archive, package included: csvd pack bundles/cmb_detection --out cmb_detection.zip"""
    from .pack import pack_bundle

    console.print(str(pack_bundle(bundle, out, overwrite=overwrite)))


evaluate = typer.Typer(no_args_is_help=True, help="How good results are, where the truth is known.")
app.add_typer(evaluate, name="evaluate")


@evaluate.command("detection")
def evaluate_detection(
    cohorts: Annotated[list[Path], typer.Argument(help="Folders with datalist.json; their section 'test' is read.")],
    out: Annotated[Path, typer.Option(help="Folder of rates.tsv, rates.md and froc.png.")],
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest probability; the bundle's when not given.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle; the one that came with csvd.")] = None,
    overlay: Annotated[
        list[Path] | None, typer.Option(help="Further config, for example configs/no_frst.json.")
    ] = None,
    ckpt_dir: Annotated[Path | None, typer.Option(help="Folder of model.pt; the bundle's when not given.")] = None,
) -> None:
    """Lesion-wise rates on labelled cohorts: csvd evaluate detection cohort_ukbb cohort_qsm --out rates"""
    from .detection import find_bundle
    from .experiments import evaluate_cohort, operating_points, write_evaluation

    settings = {"output_dir": str(out)} | ({} if ckpt_dir is None else {"ckpt_dir": str(ckpt_dir)})
    bundle = bundle or find_bundle("cmb_detection")
    rows: list[dict] = []
    curves: dict = {}
    for cohort in cohorts:
        metrics, default = evaluate_cohort(bundle, cohort, overlays=overlay or (), settings=settings)
        rows += operating_points(metrics, default if threshold is None else threshold, cohort=cohort.name)
        curves |= {f"{cohort.name}, {match}": metric for match, metric in metrics.items()}
        write_evaluation(rows, curves, out)
    console.print((out / "rates.md").read_text(), soft_wrap=True, markup=False)


@evaluate.command("classification")
def evaluate_classification(
    predictions: Annotated[Path, typer.Argument(help="Table that evaluate.json of csvd_classification wrote (.tsv).")],
    out: Annotated[Path, typer.Option(help="Folder of the tables and of classification.png.")],
    readers: Annotated[
        Path | None, typer.Option(help="Table with `subject` and a column a human reader, each naming a class (.tsv).")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="Table of the subjects with `csvd`, for example participants.tsv.")
    ] = None,
) -> None:
    """Subject-wise rates with intervals: csvd evaluate classification predictions.tsv --out rates"""
    from .experiments import evaluate_classification as evaluate_table

    for table in evaluate_table(predictions, out, readers, cohort):
        console.print(table.read_text(encoding="utf-8"), soft_wrap=True, markup=False)


class Experiment(str, Enum):
    """Which table."""

    ablation = "ablation"
    crossval = "crossval"
    generalize = "generalize"
    components = "components"
    transfer = "transfer"
    leave_out = "leave-out"
    csvd_crossval = "csvd-crossval"


@app.command()
def experiment(
    name: Annotated[Experiment, typer.Argument(help="Tables of the papers: detector, components, classifier.")],
    out: Annotated[Path, typer.Option(help="Folder of cohorts, weights and tables; what is there is not done again.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Small cohorts and short trainings: minutes on two cores.")
    ] = False,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle; the one that came with csvd.")] = None,
) -> None:
    """Train and measure on simulated cohorts, a table: csvd experiment ablation --quick --out ablation"""
    from . import experiments
    from .detection import find_bundle

    size = (experiments.QUICK if quick else experiments.FULL)[name.value]
    of = "csvd_classification" if name is Experiment.csvd_crossval else "cmb_detection"
    study = experiments.Study(out, bundle or find_bundle(of), size.settings, console.print)
    folder = getattr(experiments, name.name)(study, size)
    console.print((folder / f"{name.value}.md").read_text(), soft_wrap=True, markup=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the simulated scan and of its results.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 2023,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demonstration.")] = False,
) -> None:
    """Simulate a scan, detect, and print what was found beside the truth: csvd demo --out demo"""
    from .demo import run_demo
    from .detection import find_bundle

    rows, folder = run_demo(out, find_bundle("cmb_detection"), seed=seed, overwrite=overwrite)
    table = Table(title="Simulated lesions and what was found (mm, RAS+)", box=SIMPLE, collapse_padding=True)
    for name in ("true x, y, z", "radius", "region", "found x, y, z", "apart", "prob."):
        table.add_column(name, justify="left" if name == "region" else "right", no_wrap=True)
    for row in rows:
        lesion, found = row["truth"], row["found"]
        right = (
            [_point(found), f"{row['distance_mm']:.1f}", f"{float(found['probability']):.2f}"] if found else ["missed"]
        )
        table.add_row(_point(lesion), f"{float(lesion['radius_mm']):.1f}", lesion["region"], *right)
    console.print(table)
    found = sum(row["found"] is not None for row in rows)
    console.print(f"{found} of {len(rows)} simulated lesions were found, within 5 mm. Research use only.")
    console.print(f"Page: {folder / (folder.name + '.html')}", soft_wrap=True, markup=False)


def _point(lesion: dict[str, str]) -> str:
    """Return the position of a row of a lesion table, in mm, in columns."""
    return " ".join(f"{float(lesion[axis]):5.1f}" for axis in AXES)


def print_rows(rows: list[dict], out: Path) -> None:
    """Print what came of each scan, and where to look."""
    for row in rows:
        where = out / row["case"]
        if row["status"] == "failed":
            console.print(f"{row['case']}: failed: {row['reason']}", soft_wrap=True, markup=False)
            continue
        for warning in row["warnings"]:
            console.print(f"{row['case']}: warning: {warning}", soft_wrap=True, markup=False)
        console.print(
            f"{row['case']}: {row['counts']['total']} suspected microbleeds, see {where / (row['case'] + '.html')}",
            soft_wrap=True,
            markup=False,
        )
    console.print("Research use only.")


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


if __name__ == "__main__":
    main()
