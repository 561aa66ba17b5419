"""All discriminators behind the bundle's detector: what they say of patches, and what is left of it on whole scans."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import ConfusionMatrixDisplay

from ..engines import load_weights
from ..io.files import atomic_path
from ..metrics import bootstrap_ci, froc
from ..metrics.exact import exact_share
from .candidates import CandidateTable, bundle_detector, likelihood, search
from .components import NO_KD
from .distillation import AS_TEACHER, PATCH_AUC, STUDENTS, WITH, best_epoch, logged, show_auc, student, subjects_of
from .study import THRESHOLDS, Item, Study, Variant
from .tables import INTERVAL, NOTE, plot_froc, rates_row, write_results

TEACHER = "teacher"
OTHERS: Mapping[str, tuple[str, ...]] = {"residual": ("residual", "train_residual"), "five-block": ("five_block",)}
"""Discriminators of other papers, with their overlays over ``train_paper.json``."""
UNTIL_CONVERGED = {"student#trainer#max_epochs": "$4 * @train#trainer#max_epochs"}
"""For these, at most; they stop when the AUC has not risen for 20 epochs."""
BALANCED = ("balanced accuracy", "balanced precision")


@dataclass(frozen=True)
class Discriminator:
    """A trained discriminator.

    Args:
        name: in the table.
        folder: of ``model.pt``, the whole cascade, calibrated.
        variant: of the configs.
        log: folder of the log of its training.
        tag: what the log calls the AUC of the validation candidates.
    """

    name: str
    folder: Path
    variant: Variant
    log: Path
    tag: str = "auc"


def discriminators(
    study: Study,
    sections: Mapping[str, Sequence[Item]],
    others: Sequence[Mapping] = (),
    match: str = "overlap",
    more: Callable[[str, dict[str, Any]], Mapping[str, Any]] | None = None,
) -> Path:
    """Train every discriminator on the candidates of the bundle's detector; return the folder of table and pictures.

    Args:
        study: folder and settings.
        sections: items under "training", "validation" and "test", with absolute paths.
        others: further rows of the table, of methods without such candidates.
        match: "overlap" or "distance", the rule of the table.
        more: further columns of a discriminator, from its name and from what :func:`inference_settings` returns.
    """
    data = study.data("given", **sections)
    detector = bundle_detector(study)
    found = search(study, data, detector, Variant("candidates"))
    rows, curves, probabilities, logs = [], {}, {}, {}
    for one in train_all(study, data, detector):
        network = study.parser(data, one.folder, one.variant, ("evaluate_paper",)).get_parsed_content("network")
        load_weights(network, one.folder / "model.pt")
        started = time.perf_counter()
        probabilities[one.name] = likelihood(network, found)
        seconds = found.seconds + (time.perf_counter() - started) / len(sections["test"])
        index, test = study.chosen(data, one.folder, one.variant, match)
        rows.append(
            {
                "discriminator": one.name,
                "parameters": sum(p.numel() for p in network.discriminator.parameters()),
                "seconds per scan": f"{seconds:.1f}",
                **_training(one),
                **patch_rates(found, probabilities[one.name]),
                **rates_row(test[:, index], match),
            }
        )
        if more is not None:
            rows[-1] |= more(one.name, inference_settings(study, data, one, THRESHOLDS[index]))
        curves[one.name] = froc(test, THRESHOLDS, match)
        if one.name != TEACHER:
            logs[one.name] = one.log
    notes = [f"{subjects_of(sections)}. {_candidates(found)}", *_notes(match)]
    write_results([*rows, *others], study.out / "discriminators", "Discriminators: patches and whole scans", notes)
    plot_froc({"discriminators": curves}, study.out / "froc.png")
    plot_confusion(found, probabilities, study.out / "confusion.png")
    plot_accuracy(logs, study.out / "accuracy.png")
    return study.out


def train_all(study: Study, data: Path, detector: Path) -> Iterator[Discriminator]:
    """Train each discriminator, unless that is done. The students are those of :func:`compare_students`, seed 0."""
    for name in STUDENTS:
        variant, stages = student(name, 0)
        weights = study.train(data, stages, variant, detector)
        yield Discriminator(name, weights, variant, weights)
        if name == WITH:
            teacher = Variant(TEACHER, settings=AS_TEACHER)
            yield Discriminator(TEACHER, _calibrated(study, data, weights, teacher), teacher, weights, "teacher_auc")
    for name, overlays in OTHERS.items():
        variant = Variant(name, (NO_KD, *overlays, "candidate_auc"), UNTIL_CONVERGED)
        weights = study.train(data, (NO_KD,), variant, detector)
        yield Discriminator(name, weights, variant, weights)


def _calibrated(study: Study, data: Path, weights: Path, variant: Variant) -> Path:
    """Calibrate the cascade with the teacher as discriminator, as with a student, and return its folder."""
    folder = weights.parent / variant.name
    if not (folder / "model.pt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(weights / "detector.pt", folder)
        parser = study.parser(data, folder, variant)
        network = parser.get_parsed_content("network")
        load_weights(network.detector, folder / "detector.pt")
        load_weights(network.discriminator, weights / "teacher.pt")
        parser.get_parsed_content("calibration#step").run()
    return folder


def inference_settings(study: Study, data: Path, one: Discriminator, threshold: float) -> dict[str, Any]:
    """Return what makes a discriminator that of ``inference.json`` with the overlay ``paper``, by config id."""
    parser = study.parser(data, one.folder, one.variant)
    discriminator = "teacher#network_def" if one.name == TEACHER else "network_def#discriminator"
    return {
        "candidate_threshold": parser["candidate_threshold"],
        "patch_size": parser["patch_size"],
        "network_def#detector": parser["network_def#detector"],
        "network_def#discriminator": parser[discriminator],
        "weights": str(one.folder.resolve() / "model.pt"),
        "threshold": threshold,
    }


def patch_rates(found: CandidateTable, probability: np.ndarray) -> dict[str, str | float]:
    """Return rates of the candidates at 0.5, as they come and as of a set with as many of either kind, and the AUC.

    The second are those of :data:`BALANCED`: the mean of recall and specificity, and the precision that these two give
    where either kind is a half. Intervals: bootstrap over subjects; of the recall, Clopper-Pearson.
    """
    positive, named = found.labels == 1, probability >= 0.5
    parts = (positive & named, positive & ~named, ~positive & named, ~positive & ~named)
    of = [found.subjects == subject for subject in np.unique(found.subjects)]
    counts = torch.tensor([[int((part & mine).sum()) for part in parts] for mine in of])
    tp, fn, fp, tn = counts.sum(dim=0).tolist()
    ends = torch.stack([_balanced(counts[None])[0], *bootstrap_ci(counts, _balanced)], dim=-1).tolist()
    return {
        "patch accuracy": round((tp + tn) / len(found.labels), ndigits=3),
        "patch precision": round(tp / max(1, tp + fp), ndigits=3),
        "patch recall": str(exact_share(tp, tp + fn)),
        **{
            name: INTERVAL.format(value=value, low=low, high=high)
            for name, (value, low, high) in zip(BALANCED, ends, strict=True)
        },
        PATCH_AUC: show_auc(found, probability),
    }


def _balanced(counts: torch.Tensor) -> torch.Tensor:
    """Return the rates :data:`BALANCED`, (n, 2), of counts (n, S, 4): microbleeds named or not, others named or not."""
    tp, fn, fp, tn = counts.double().sum(dim=1).unbind(dim=-1)
    recall, false = tp / (tp + fn), fp / (fp + tn)
    return torch.stack([(recall + 1 - false) / 2, recall / (recall + false)], dim=-1)


def _training(one: Discriminator) -> dict[str, str]:
    """Return the columns of the training: its best epoch, and the accuracy of its patches in that."""
    best, columns = best_epoch(one.log, one.tag)
    accuracy = "" if one.name == TEACHER else f"{logged(one.log, 'accuracy')[best]:.3f}"
    return {**columns, "training accuracy": accuracy}


def _candidates(found: CandidateTable) -> str:
    """Say which candidates the columns of patches are of."""
    return (
        f"Candidates of the bundle's detector in the test subjects: {len(found.labels)}, {int(found.labels.sum())} of "
        "them microbleeds."
    )


def _notes(match: str) -> list[str]:
    return [
        "Patch and balanced columns are of these candidates, at 0.5, before calibration; balanced: as of a set with as "
        "many microbleeds as others. Training accuracy: of augmented patches, half of them microbleeds, the others "
        "those that are hardest. TPR to F1: of whole scans, after calibration and clean-up.",
        "Weights of the epoch with the highest AUC of validation candidates; students and teacher train to the end, "
        "the others until it has not risen for 20 epochs, at most four times as long. Minutes: of the "
        "training; parameters: of the discriminator; seconds: of detector and discriminator, without preprocessing.",
        NOTE.format(match=match, seeds=0),
    ]


def plot_confusion(found: CandidateTable, probabilities: dict[str, np.ndarray], path: Path) -> None:
    """Draw the confusion matrix of the patches of each discriminator."""
    import matplotlib.pyplot as plt

    figure, row = plt.subplots(1, len(probabilities), figsize=(2.5 * len(probabilities), 3.4), layout="constrained")
    for axes, (name, probability) in zip(row, probabilities.items(), strict=True):
        ConfusionMatrixDisplay.from_predictions(
            found.labels,
            (probability >= 0.5).astype(int),
            labels=[0, 1],
            display_labels=["other", "microbleed"],
            colorbar=False,
            cmap="Blues",
            ax=axes,
        )
        axes.set_title(name, fontsize="medium")
        axes.label_outer()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def plot_accuracy(folders: Mapping[str, Path], path: Path) -> None:
    """Draw the share of training patches that each discriminator got right, epoch by epoch, from TensorBoard's logs."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.5, 4.2), layout="constrained")
    for name, folder in folders.items():
        shares = logged(folder, "accuracy")
        axes.plot(list(shares), list(shares.values()), marker=".", label=name)
    axes.set(xlabel="epoch", ylabel="accuracy of augmented training patches", title="Discriminators")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
