"""Commands that make data, and what is made of it: ``csvd phantom``, ``datalist``, ``pack``, ``demo``."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from ..checks import InputError
from ..processes import quick_imports
from .app import app, console
from .screen import print_text

AXES = ("x_mm", "y_mm", "z_mm")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder of the simulated cohort.")],
    preset: Annotated[
        str, typer.Option(help="Protocol, for example ukbb, oxvasc, qsm, random; or study, all sequences.")
    ] = "ukbb",
    subjects: Annotated[int, typer.Option(min=1, help="Number of subjects.")] = 1,
    seed: Annotated[int, typer.Option(help="Random seed: the same seed gives the same bytes.")] = 0,
    phenotype: Annotated[str | None, typer.Option(help="healthy, aSVD, CAA or CADASIL; default: a mixture.")] = None,
    lesions: Annotated[
        float | None,
        typer.Option(help="Median number of microbleeds in subjects that have any; default: that of the protocol."),
    ] = None,
    mimics: Annotated[
        float | None,
        typer.Option(help="Mimics, relative to their clinical prevalence; with --backgrounds, number per scan."),
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of real scans (NIfTI, BIDS) into which microbleeds are planted.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="With skull and scalp around the brain.")] = False,
    split: Annotated[tuple[float, float, float], typer.Option(help="Training, validation and test fractions.")] = (
        0.8,
        0.1,
        0.1,
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help="Number of processes; default: all cores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing cohort.")] = False,
) -> None:
    """Simulate a cohort: csvd phantom --preset ukbb --subjects 10 --out cohort --seed 1"""
    from ..phantom import write_cohort, write_studies

    if backgrounds is not None:
        if head or phenotype or preset != "ukbb" or jobs:
            raise InputError("--backgrounds takes no --preset, --head, --phenotype or --jobs: leave them out.")
        path = _plant(backgrounds, out, subjects, seed, lesions, mimics, split, overwrite)
        print_text(console, f"{subjects} scans with planted microbleeds: {path}")
        return
    how: dict[str, Any] = {"jobs": jobs, "split": split, "overwrite": overwrite}
    if preset == "study":
        if head or phenotype or lesions or mimics:
            raise InputError("preset 'study' takes no --head, --phenotype, --lesions or --mimics: leave them out.")
        datalist = write_studies(subjects, out, seed, **how)
    else:
        how |= {"head": head, "phenotype": phenotype, "lesions": lesions, "mimics": mimics}
        datalist = write_cohort(preset, subjects, out, seed, **how)
    print_text(console, f"{subjects} simulated subjects: {datalist}")


def _plant(
    folder: Path,
    out: Path,
    subjects: int,
    seed: int,
    lesions: float | None,
    mimics: float | None,
    split: tuple[float, float, float],
    overwrite: bool,
) -> Path:
    """Plant into real scans, whose brains are found as the detector finds them, and return the data list."""
    from ..phantom.backgrounds import write_planted_cohort
    from ..transforms.brain.brain_mask import find_brain

    how: dict[str, Any] = {"split": split, "overwrite": overwrite, "find_brain": find_brain}
    how |= {} if lesions is None else {"lesions": lesions}
    how |= {} if mimics is None else {"mimics": round(mimics)}
    return write_planted_cohort(folder, out, subjects, seed, **how)


class Layout(str, Enum):
    """How a data set is laid out."""

    bids = "bids"
    valdo = "valdo"
    dou = "dou"
    aibl = "aibl"
    slicer = "slicer"


@app.command()
def datalist(
    root: Annotated[Path, typer.Argument(help="Folder of the data set, or of corrected results.")],
    layout: Annotated[
        Layout, typer.Option(help="BIDS; VALDO Task 2, Dou (SWI), AIBL (Momeni); or results corrected in 3D Slicer.")
    ],
    out: Annotated[Path, typer.Option(help="The data list to write (.json).")],
    scans: Annotated[
        Path | None, typer.Option(help="slicer: scans of the results, a folder or data list; default: ROOT.")
    ] = None,
    split: Annotated[tuple[float, float, float], typer.Option(help="Training, validation and test fractions.")] = (
        0.8,
        0.1,
        0.1,
    ),
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing data list.")] = False,
) -> None:
    """Write the data list of a data set: csvd datalist Task2 --layout valdo --out datalist.json"""
    from ..io import not_reviewed, read_layout
    from ..io.splits import write_datalist

    if out.exists() and not overwrite:
        raise InputError(f"output '{out}' exists already: choose another name or --overwrite it.")
    subjects = read_layout(root, layout.value, scans)
    about = f"{layout.value}: {len(subjects)} subjects, shuffled with seed {seed}. Research use only."
    write_datalist(out, subjects, split, seed, name=root.absolute().name, description=about)
    total = sum(map(len, subjects))
    labelled = sum("label" in item or "points" in item for items in subjects for item in items)
    print_text(console, f"{total} scans of {len(subjects)} subjects, {labelled} annotated: {out}")
    left = not_reviewed(root) if layout is Layout.slicer else []
    if left:
        print_text(console, f"left out, not corrected since csvd wrote them: {', '.join(left)}")


@app.command()
def pack(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    out: Annotated[Path, typer.Option(help="The archive to write (.zip).")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing archive.")] = False,
) -> None:
    """Write a shareable archive with the package: csvd pack bundles/cmb_detection --out cmb_detection.zip"""
    from ..workflows.pack import pack_bundle

    print_text(console, str(pack_bundle(bundle, out, overwrite=overwrite)))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Output folder of the simulated scan and its results.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed of the simulation.")] = 2023,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demonstration.")] = False,
) -> None:
    """Simulate a scan, detect microbleeds and compare with the truth: csvd demo --out demo"""
    from ..bundles import find_bundle

    with quick_imports():
        from ..workflows.demo import run_demo

    rows, folder = run_demo(out, find_bundle("cmb_detection"), seed=seed, overwrite=overwrite)
    table = Table(title="Simulated lesions and what was found (mm, RAS+)", box=SIMPLE, collapse_padding=True)
    for name in ("true x, y, z", "region", "found x, y, z", "apart", "true d", "found d", "prob."):
        table.add_column(name, justify="left" if name == "region" else "right", no_wrap=True)
    for row in rows:
        lesion, found = row["truth"], row["found"]
        size = "unseen" if lesion["seen_mm"] is None else f"{lesion['seen_mm']:.1f}"
        position, *numbers = ["missed", "", "", ""]
        if found:
            position = _point(found)
            numbers = [f"{row['distance_mm']:.1f}", f"{float(found['diameter_mm']):.1f}"]
            numbers.append(f"{float(found['probability']):.2f}")
        table.add_row(_point(lesion), lesion["region"], position, numbers[0], size, *numbers[1:])
    console.print(table)
    found = sum(row["found"] is not None for row in rows)
    console.print(f"{found} of {len(rows)} simulated lesions were found, within 5 mm. Research use only.")
    console.print("d: diameter at half contrast: true, seen without noise; found, in the scan.")
    print_text(console, f"Page: {folder / (folder.name + '.html')}")


def _point(lesion: dict[str, str]) -> str:
    """Return the position of a row of a lesion table, in whole mm, in columns."""
    return " ".join(f"{float(lesion[axis]):3.0f}" for axis in AXES)
