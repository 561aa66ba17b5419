"""Commands that measure: ``csvd evaluate``, ``experiment``."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checks import InputError, check_extra
from ..names import shown, storable
from .app import AsJson, BundleFolder, Jobs, Overlays, app, console, errors

evaluate = typer.Typer(no_args_is_help=True, help="Evaluate results against labels.")
app.add_typer(evaluate, name="evaluate")


@evaluate.command("detection")
def evaluate_detection(
    cohorts: Annotated[list[Path], typer.Argument(help="Folders with datalist.json; the section 'test' is evaluated.")],
    out: Annotated[Path, typer.Option(help="Output folder of tables, JSON, figures and detections.")],
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Probability threshold; default: the operating point of each contrast."),
    ] = None,
    bundle: BundleFolder = None,
    overlay: Overlays = None,
    ckpt_dir: Annotated[
        Path | None, typer.Option(help="Folder of other weights: model.pt and operating_points.json.")
    ] = None,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Evaluate csvd detect on labelled cohorts: csvd evaluate detection cohort_ukbb cohort_qsm --out rates"""
    check_extra("experiments")
    from .. import experiments
    from ..bundles import find_bundle

    names = [cohort.resolve().name for cohort in cohorts]
    if len({*names}) < len(names):
        raise InputError(f"cohorts must have different names, they are {', '.join(names)}. Rename a folder.")
    bundle = bundle or find_bundle("cmb_detection")
    how: dict[str, Any] = {"overlays": overlay or (), "ckpt_dir": ckpt_dir, "threshold": threshold, "jobs": jobs}
    figures: list[dict] = []
    curves: dict = {}
    for name, cohort in zip(names, cohorts, strict=True):
        scans = experiments.evaluate_cohort(bundle, cohort, out / "results" / name, **how)
        figures.append(experiments.cohort_figures(name, scans))
        curves |= experiments.cohort_curves(name, scans)
        experiments.write_evaluation(figures, curves, out)
    if as_json:
        print(storable(experiments.as_json(figures)))
    else:
        console.print(shown((out / "rates.md").read_text(encoding="utf-8")), soft_wrap=True, markup=False)
    failed = [scan for one in figures for scan in one["each"] if scan["status"] == "failed"]
    for scan in failed:
        errors.print(shown(f"{scan['case']}: failed: {scan['reason']}"), soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)


@evaluate.command("classification")
def evaluate_classification(
    predictions: Annotated[Path, typer.Argument(help="Table that evaluate.json of csvd_classification wrote (.tsv).")],
    out: Annotated[Path, typer.Option(help="Folder of the tables and of classification.png.")],
    readers: Annotated[
        Path | None, typer.Option(help="Table with `subject` and one column per human reader, with class names (.tsv).")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option(help="Table of the subjects with `csvd`, for example participants.tsv.")
    ] = None,
) -> None:
    """Subject-wise rates with intervals: csvd evaluate classification predictions.tsv --out rates"""
    check_extra("experiments")
    from ..experiments import evaluate_classification as evaluate_table

    for table in evaluate_table(predictions, out, readers, cohort):
        console.print(shown(table.read_text(encoding="utf-8")), soft_wrap=True, markup=False)


class Experiment(str, Enum):
    """Which table."""

    ablation = "ablation"
    crossval = "crossval"
    generalize = "generalize"
    components = "components"
    transfer = "transfer"
    federated = "federated"
    leave_out = "leave-out"
    seeds = "seeds"
    distillation = "distillation"
    csvd_crossval = "csvd-crossval"
    subtypes = "subtypes"
    sequences = "sequences"


@app.command()
def experiment(
    name: Annotated[Experiment, typer.Argument(help="Tables of the papers: detector, classifier, sequences.")],
    out: Annotated[Path, typer.Option(help="Folder of cohorts, weights and tables; finished parts are kept.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Small cohorts and short trainings: minutes on two cores.")
    ] = False,
    bundle: BundleFolder = None,
) -> None:
    """Train and evaluate on simulated cohorts: csvd experiment ablation --quick --out ablation"""
    check_extra("experiments")
    from .. import experiments
    from ..bundles import find_bundle

    size = (experiments.QUICK if quick else experiments.FULL)[name.value]
    of = "csvd_classification" if name in (Experiment.csvd_crossval, Experiment.subtypes) else "cmb_detection"
    study = experiments.Study(out, bundle or find_bundle(of), size.settings, console.print)
    folder = getattr(experiments, name.name)(study, size)
    console.print((folder / f"{name.value}.md").read_text(), soft_wrap=True, markup=False)
