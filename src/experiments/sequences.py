"""Table of a study that told T1, T1c, T2 and DWI apart with residual networks: which sequence a slice is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from ..engines import load_weights
from ..io.files import atomic_path
from ..io.splits import SECTIONS
from ..metrics import bootstrap_ci
from ..metrics.exact import exact_share
from ..phantom import simulate_series
from ..phantom.studies import save_series
from .sizes import Size
from .study import Item, Study
from .tables import INTERVAL, write_results

CLASSES = ("T1", "T1c", "T2", "DWI")
PAPER = {"resnet18": 0.79, "resnet34": 0.81, "resnet50": 0.84}
"""Accuracy on 600 slices of 273 patients of another hospital."""
NOTES = (
    "Series are simulated; the paper's are real. Accuracy of single slices, and of series by the vote of most of their "
    "slices. 95 % intervals: bootstrap over subjects, exact (Clopper-Pearson) where all or none are right. Seed 0. "
    "Research use only.",
    "The networks start at random, without the paper's weights of ImageNet and the five epochs that train their last "
    "layer alone; all layers learn for all epochs. The weights are those of the epoch with the least loss on "
    "validation subjects.",
)


@dataclass(frozen=True)
class Tested:
    """Probabilities (S, 4, N) of the slices of series, their classes (S,), and their subjects (S,)."""

    slices: torch.Tensor
    labels: torch.Tensor
    subjects: list[str]

    @property
    def votes(self) -> torch.Tensor:
        """Class of each slice, (S, N)."""
        return self.slices.argmax(dim=1)

    @property
    def series(self) -> torch.Tensor:
        """Class of most slices of each series, (S,); of two with as many, the likelier on average."""
        counts = torch.nn.functional.one_hot(self.votes, len(CLASSES)).sum(dim=1)
        return (counts + self.slices.mean(dim=2).clamp(max=0.999)).argmax(dim=1)


def sequences(study: Study, size: Size) -> Path:
    """Train three residual networks on simulated series of four sequences; return the folder of the table."""
    sections = {name: four_series(study, getattr(size, name), seed) for seed, name in enumerate(SECTIONS, start=1)}
    data = study.data("sequences", **sections)
    rows, errors = [], []
    for backbone, paper in PAPER.items():
        parser = gate_parser(study, data, backbone)
        best = train_gate(study, parser, backbone)
        found = name_slices(study, parser, backbone)
        rows.append({"network": backbone, "best epoch": best, **accuracy_row(found), "paper, real slices": paper})
        errors += confusion_rows(backbone, found)
    parts = ", ".join(f"{getattr(size, name)} {name}" for name in SECTIONS)
    notes = [f"Subjects: {parts}; of each one series of T1, T1c, T2 and DWI.", *NOTES]
    write_results(errors, study.out / "confusion", "Which sequence slices and series were taken for", notes)
    write_results(rows, study.out / "sequences", "Sequence of a slice: three residual networks", notes)
    return study.out


def four_series(study: Study, subjects: int, seed: int) -> list[Item]:
    """Simulate a series of each class for each subject, those that are not there, and return their items."""
    folder = study.out / "cohorts" / f"sequences_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for index in range(subjects):
        for name in CLASSES:
            subject = f"sub-{index + 1:03d}"
            path = folder / f"{subject}_{name}.nii.gz"
            if not path.exists():
                study.say(f"simulating {name}, subject {index + 1} of {subjects}")
                with atomic_path(path) as temporary:
                    save_series(simulate_series(name, seed, index), temporary)
            items.append({"image": str(path), "sequence": name, "kind": name, "subject": f"{seed} {subject}"})
    return items


def gate_parser(study: Study, data: Path, backbone: str) -> ConfigParser:
    """Return the configs of the bundle's sequence gate for four classes and a backbone."""
    parser = ConfigParser()
    names = ("sequence_inference", "train_sequence")
    parser.read_config([str(study.bundle / "configs" / f"{name}.json") for name in names])
    weights = str(study.out / "weights" / backbone)
    own: dict[str, Any] = {
        "bundle_root": str(study.bundle),
        "dataset_dir": str(data),
        "ckpt_dir": weights,
        "output_dir": weights,
        "sequences": list(CLASSES),
        "network_def#backbone": backbone,
        "train#loss#weight": None,
        "train#dataset#cache_dir": str(study.out / "cache"),
        "validate#dataset#cache_dir": str(study.out / "cache"),
    }
    for name, value in {**own, **study.settings}.items():
        parser[name] = value
    return parser


def train_gate(study: Study, parser: ConfigParser, backbone: str) -> str:
    """Train a network, unless that is done, and return the epoch of its weights, for example "40 of 45"."""
    done = study.out / "weights" / backbone / "done"
    if not done.exists():
        study.say(f"training {backbone}")
        parser.get_parsed_content("initialize")
        parser.get_parsed_content("stages").run()
        best = parser.get_parsed_content("validate#evaluator").state.best_metric_epoch
        with atomic_path(done) as temporary:
            temporary.write_text(f"{best} of {parser.get_parsed_content('epochs')}", encoding="utf-8")
    return done.read_text(encoding="utf-8")


def name_slices(study: Study, parser: ConfigParser, backbone: str) -> Tested:
    """Return what a network says of the slices of the test series."""
    path = study.out / "weights" / backbone / "test.pt"
    if not path.exists():
        study.say(f"testing {backbone}")
        network = parser.get_parsed_content("network").eval()
        load_weights(network, study.out / "weights" / backbone / "sequence.pt")
        parser["validate#dataset#data#section"] = "test"
        parser.parse(reset=True)
        inferer, device = parser.get_parsed_content("inferer"), parser.get_parsed_content("device")
        with torch.inference_mode():
            seen = [
                (inferer(item["image"][None].to(device), network)[0].cpu(), item["label"])
                for item in parser.get_parsed_content("validate#dataset")
            ]
        subjects = [item["subject"] for item in parser.get_parsed_content("validate#dataset#data")]
        found = {"slices": torch.stack([one for one, _ in seen]), "labels": torch.stack([label for _, label in seen])}
        with atomic_path(path) as temporary:
            torch.save({**found, "subjects": subjects}, temporary)
    return Tested(**torch.load(path, weights_only=True))


def accuracy_row(found: Tested) -> dict[str, Any]:
    """Return the numbers of slices and series, and the share of each that is named right, with intervals."""
    right = found.votes == found.labels[:, None]
    return {
        "series": len(right),
        "slices": right.numel(),
        "accuracy of slices": _share(right.double(), found.subjects),
        "accuracy of series": _share((found.series == found.labels).double()[:, None], found.subjects),
    }


def _share(right: torch.Tensor, subjects: list[str]) -> str:
    """Return the mean of (S, N) of ones and zeros, with its interval over subjects."""
    value, names = float(right.mean()), list(dict.fromkeys(subjects))
    if value in (0, 1):
        exact = exact_share(int(value) * len(names), len(names))
        return INTERVAL.format(value=value, low=exact.low, high=exact.high)
    of = [torch.tensor([one == name for one in subjects]) for name in names]
    low, high = bootstrap_ci(torch.stack([right[mine].mean() for mine in of]), lambda draws: draws.mean(dim=1))
    return INTERVAL.format(value=value, low=float(low), high=float(high))


def confusion_rows(backbone: str, found: Tested) -> list[dict[str, Any]]:
    """Return a row for each true class: how many slices, and how many series, were taken for each."""
    rows = []
    for unit, labels, chosen in (
        ("slices", found.labels[:, None].expand_as(found.votes), found.votes),
        ("series", found.labels, found.series),
    ):
        for true, name in enumerate(CLASSES):
            counts = torch.bincount(chosen[labels == true], minlength=len(CLASSES)).tolist()
            rows.append({"network": backbone, "of": unit, "true": name, **dict(zip(CLASSES, counts, strict=True))})
    return rows
