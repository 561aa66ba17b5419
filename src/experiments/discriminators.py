"""All discriminators behind the bundle's detector: what they say of patches, and what is left of it on whole scans."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ..engines import load_weights
from ..io.files import atomic_path
from ..metrics import froc
from ..metrics.classification import auc_interval
from .candidates import CandidateTable, bundle_detector, likelihood, search
from .components import NO_KD
from .study import CASCADE, THRESHOLDS, Item, Study, Variant
from .tables import INTERVAL, NOTE, plot_froc, rates_row, write_results

KD = Variant("kd")
ALL: dict[str, tuple[Variant, tuple[str, ...]]] = {  # overlays over evaluate_paper.json
    "student with KD": (KD, ()),
    "teacher": (KD, ("evaluate_teacher",)),
    "student": (Variant("student", (NO_KD,)), ()),
    "residual": (Variant("residual", (NO_KD, "residual", "train_residual")), ()),
    "five-block": (Variant("five_block", (NO_KD, "five_block")), ()),
}


def discriminators(
    study: Study, sections: Mapping[str, Sequence[Item]], others: Sequence[Mapping] = (), match: str = "overlap"
) -> Path:
    """Train every discriminator on the candidates of the bundle's detector; return the folder of table and pictures.

    Args:
        study: folder and settings.
        sections: items under "training", "validation" and "test", with absolute paths.
        others: further rows of the table, of methods without such candidates.
        match: "overlap" or "distance", the rule of the table.
    """
    data = study.data("given", **sections)
    detector = bundle_detector(study)
    found = search(study, data, detector, Variant("candidates"))
    rows, curves, probabilities, folders = [], {}, {}, {}
    for name, (variant, overlays) in ALL.items():
        stages = CASCADE[1:] if variant is KD else (NO_KD,)
        weights = study.train(data, stages, variant, detector=detector)
        file = "teacher.pt" if overlays else "student.pt"
        network = study.parser(data, weights, variant, ("evaluate_paper", *overlays)).get_parsed_content("network")
        load_weights(network.discriminator, weights / file)
        started = time.perf_counter()
        probabilities[name] = likelihood(network, found)
        seconds = found.seconds + (time.perf_counter() - started) / len(sections["test"])
        index, test = study.chosen(data, weights, Variant(name, variant.overlays), match, overlays=overlays)
        rows.append(
            {
                "discriminator": name,
                "parameters": sum(p.numel() for p in network.discriminator.parameters()),
                "seconds per scan": f"{seconds:.1f}",
                **_patch_rates(found, probabilities[name]),
                **rates_row(test[:, index], match),
            }
        )
        curves[name] = froc(test, THRESHOLDS, match)
        if not overlays:
            folders[name] = weights
    notes = [
        f"{', '.join(f'{len(items)} {section}' for section, items in sections.items())} subjects; candidates of the "
        f"bundle's detector in the test subjects, {len(found.labels)} in all, {int(found.labels.sum())} of them "
        "microbleeds. Columns that begin with 'patch' are of these candidates, at 0.5, the rest of whole scans, after "
        "calibration and clean-up. Parameters: of the discriminator; seconds: of detector and discriminator.",
        NOTE.format(match=match, seeds=0),
    ]
    write_results([*rows, *others], study.out / "discriminators", "Discriminators: patches and whole scans", notes)
    plot_froc({"discriminators": curves}, study.out / "froc.png")
    plot_confusion(found, probabilities, study.out / "confusion.png")
    plot_accuracy(folders, study.out / "accuracy.png")
    return study.out


def _patch_rates(found: CandidateTable, probability: np.ndarray) -> dict[str, str | float]:
    """Return accuracy, precision, recall and AUC of the patches."""
    (tn, fp), (fn, tp) = confusion_matrix(found.labels, probability >= 0.5, labels=[0, 1])
    area = auc_interval(found.labels == 1, probability)
    return {
        "patch accuracy": round((tp + tn) / len(found.labels), ndigits=3),
        "patch precision": round(tp / max(1, tp + fp), ndigits=3),
        "patch recall": round(tp / max(1, tp + fn), ndigits=3),
        "patch AUC": INTERVAL.format(value=area.value, low=area.low, high=area.high),
    }


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
        events = EventAccumulator(str(folder)).Reload().Scalars("accuracy")
        last = {event.step: event.value for event in events}  # of an epoch that was begun again, too
        axes.plot(list(last), list(last.values()), marker=".", label=name)
    axes.set(xlabel="epoch", ylabel="accuracy of augmented training patches", title="Discriminators")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
