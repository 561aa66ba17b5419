"""The commands that ``kill.py`` kills, their inputs, and what of their results is compared."""

import json
import multiprocessing
import os
import runpy
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # small scans, bundles and trainings

import fire  # noqa: F401  # and what else the commands load when they need it: once, before the processes are forked
import nilearn.datasets  # noqa: F401
import pydicom
import SimpleITK  # noqa: F401
import small
import torch
from common import write_small_cohort
from dicom_study import oblique, write_classic
from fuzz_inputs import keep_grid
from small_bundle import SHAPE, VOXEL_MM, write_bundle, write_classifier, write_scan
from trained import BUNDLE, PAPER, QUICK

from csvd import losses  # noqa: F401
from csvd.cli import main as csvd
from csvd.experiments import generalize
from csvd.io.dicom import writer  # noqa: F401
from csvd.io.temporary import NAME
from csvd.phantom import PROTOCOLS

UNIQUE = ("UI", "DA", "TM", "DT")
"""Kinds of DICOM elements that are new in each object: identifiers and times."""
SMALLEST = {"train#trainer#max_epochs": 2, "val_interval": 10**6}
"""Of the trainings of the experiment."""


@dataclass(frozen=True)
class Command:
    """What is run, killed and run again.

    Attributes:
        words: of the command line; ``IN`` and ``OUT`` stand for the folders of inputs and results.
        again: words that are added to go on.
        whole: whether a file that is there at any moment must be that of the end.
        bundle: folder in which it is ``python -m monai.bundle run``; else it is ``csvd``.
    """

    words: tuple[str, ...]
    again: tuple[str, ...] = ("--resume",)
    whole: bool = True
    bundle: Path | None = None


def _training(bundle: Path, *words: str, cohort: str = "cohort") -> Command:
    folders = ("--dataset_dir", f"IN/{cohort}", "--ckpt_dir", "OUT", "--output_dir", "OUT")
    return Command((*words, *folders), (), whole=False, bundle=bundle)


DETECT = ("detect", "--bundle", "IN/bundle", "--out", "OUT")
CLASSIFIER = BUNDLE.with_name("csvd_classification")
EPOCHS = ("--train#trainer#max_epochs", "2", "--val_interval", "1")
PATCHES = ("--train#sampler#batches", "2", "--train#dataset#batch_size", "16")
SLICES = tuple(str(part) for pair in small.CLASSIFIER.items() for part in (f"--{pair[0]}", pair[1]))
DEFAULT = ("training", "--config_file", "configs/train.json", *EPOCHS)
GATE = ("training", "--config_file", "['configs/sequence_inference.json','configs/train_sequence.json']")
GATE = (*GATE, "--pixels", "32", "--epochs", "2")
MASK_RCNN = "['configs/train.json','configs/mask_rcnn.json','configs/train_mask_rcnn.json']"
OUTLINES = ("training", "--config_file", MASK_RCNN, "--epochs", "2", "--network_def#cascade#image_size", "64")
COMMANDS = {
    "detect, one scan": Command((*DETECT, "IN/scans/sub-0_swi.nii.gz")),
    "detect --jobs 2": Command((*DETECT, "IN/scans", "--jobs", "2")),
    "detect --bids": Command((*DETECT, "IN/bids", "--bids")),
    "detect --dicom": Command((*DETECT, "IN/dicom", "--dicom")),
    "classify": Command(("classify", "--bundle", "IN/classifier", "--out", "OUT", "IN/scans")),
    "pack": Command(("pack", "IN/bundle", "--out", "OUT/bundle.zip"), ("--overwrite",)),
    "training": _training(BUNDLE, *DEFAULT, *PATCHES),
    "training of the cascade": _training(BUNDLE, "training", "--config_file", PAPER, *QUICK),
    "training of the classifier": _training(CLASSIFIER, *DEFAULT, *SLICES),
    "training of Mask R-CNN": _training(CLASSIFIER, *OUTLINES),
    "training of the gate": _training(BUNDLE, *GATE, cohort="series"),
    "experiment": Command(("experiment", "generalize", "--quick", "--out", "OUT"), (), whole=False),
}


def write_inputs(folder: Path) -> None:
    """Write what the commands read."""
    keep_grid(write_bundle(folder / "bundle"))
    (folder / "bundle" / "LICENSE").write_text("of a test")
    (folder / "bundle" / "configs" / "metadata.json").write_text("{}")
    write_classifier(folder / "classifier")
    for seed in range(3):
        write_scan(folder / "scans" / f"sub-{seed}_swi.nii.gz", seed)
        write_scan(folder / "bids" / f"sub-{seed}" / "anat" / f"sub-{seed}_swi.nii.gz", seed)
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "simulated", "BIDSVersion": "1.10.0"}')
    write_classic(folder / "dicom", oblique())
    (folder / "cohort").mkdir()
    write_small_cohort(folder / "cohort", SHAPE, VOXEL_MM)
    sections = json.loads((folder / "cohort" / "datalist.json").read_text())
    for number, item in enumerate(item for items in sections.values() for item in items):
        kind = ("aSVD", "CAA", "CADASIL")[number % 3]
        item |= {"subject": f"sub-{number}", "csvd": kind, "age": 60 + number, "sex": "FM"[number % 2]}
    (folder / "cohort" / "datalist.json").write_text(json.dumps(sections))
    series = [
        {"image": str(scan), "sequence": kind}
        for scan, kind in zip(sorted((folder / "scans").iterdir()), ("SWI", "T1"), strict=False)
    ]
    (folder / "series").mkdir()
    (folder / "series" / "datalist.json").write_text(json.dumps({"training": series, "validation": series}))


def words_of(command: Command, inputs: Path, out: Path, again: bool) -> list[str]:
    """Return the words of a command line, of a second one where asked."""
    words = [word.replace("IN/", f"{inputs}/").replace("OUT", str(out)) for word in command.words]
    return [*words, *(command.again if again else ())]


def become(command: Command, words: list[str]) -> None:
    """Run a command in this process, which is a fork, and so are those that it starts."""
    forks = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: forks  # type: ignore[assignment]
    torch.set_num_threads(1)
    if command.bundle is not None:
        os.chdir(command.bundle)
        sys.argv = ["monai.bundle", "run", *words]
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        return
    if words[0] == "experiment":
        make_small()
    sys.argv = ["csvd", *words]
    csvd()


def make_small() -> None:
    """Give the experiment coarse scans of two kinds, and trainings of seconds."""
    from csvd import experiments

    size = replace(small.EXPERIMENT, settings={**small.EXPERIMENT.settings, **SMALLEST})
    experiments.QUICK = dict.fromkeys(experiments.QUICK, size)
    PROTOCOLS.update(
        {name: replace(small.PROTOCOL, vary=one.vary, contrasts=one.contrasts) for name, one in PROTOCOLS.items()}
    )
    module = sys.modules[generalize.__module__]
    module.TESTS = {name: module.TESTS[name] for name in ("ukbb", "oxvasc")}  # type: ignore[attr-defined]


def results_in(out: Path) -> dict[str, Path]:
    """Return the files below a folder by their relative names, but for what is written anew in each run."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    named = {path.relative_to(out).as_posix(): path for path in files}
    return {name: path for name, path in named.items() if "tfevents" not in name and not _in_temporary(name)}


def left_in(folder: Path) -> list[str]:
    """Return the temporary folders below a folder."""
    return [str(path) for path in folder.rglob("*") if NAME.fullmatch(path.name)]


def _in_temporary(name: str) -> bool:
    return any(NAME.fullmatch(part) for part in Path(name).parts)


def same(one: Path, other: Path) -> bool:
    """Return whether two files are equal; DICOM objects but for identifiers and times."""
    if one.suffix != ".dcm":
        return one.read_bytes() == other.read_bytes()
    contents = [pydicom.dcmread(path) for path in (one, other)]
    for content in contents:
        content.walk(_forget_unique)
    return contents[0].to_json() == contents[1].to_json()


def _forget_unique(content: pydicom.Dataset, element: pydicom.DataElement) -> None:
    if element.VR in UNIQUE:
        element.value = None
