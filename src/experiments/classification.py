"""How good a classifier of subjects is, beside human readers: the work behind ``csvd evaluate classification``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, confusion_matrix

from ..checks import InputError
from ..engines.calibration import BINS
from ..io.files import atomic_path
from ..metrics import reliability
from ..metrics.classification import (
    auc_interval,
    class_rates,
    compare_readers,
    fleiss_kappa,
    placements,
    rate_intervals,
)
from ..metrics.exact import UNDEFINED, Interval
from .predictions import Predictions, read_predictions
from .subject_groups import cohort_rows, read_columns
from .tables import write_results

NOTES = [
    "Not applicable: no class was named, because no microbleed or only uncertain ones were found. `value` leaves "
    "such subjects out; `of all` counts them as wrong, with equal probabilities in areas, and not in the calibration "
    "error, for which they have no probability.",
    "By chance: the calibration error of as many subjects with these probabilities if they were right exactly as often "
    "as they say, mean and 95 % range of 2000 draws, seed 0.",
    "95 % intervals: stratified bootstrap over subjects (2000 draws, seed 0), DeLong for the area of a class; exact "
    "(Clopper-Pearson) where a rate or area is 0 or 1, and for accuracy of fewer than 20 subjects.",
    "Research use only.",
]

ERROR, BY_CHANCE = "expected calibration error", "calibration error by chance"


def subject_rates(labels: np.ndarray, probabilities: np.ndarray, applies: np.ndarray | None = None) -> dict[str, float]:
    """Return areas one against the rest, weighted and plain mean, accuracy, precision, recall, F1 and ECE.

    Args:
        labels: (N,) classes.
        probabilities: (N, classes).
        applies: (N,), whether a class was named; where none was, the answer is wrong. Defaults to all.
    """
    classes = probabilities.shape[1]
    named = np.ones(len(labels), dtype=bool) if applies is None else applies
    likeliest, surest = (torch.from_numpy(one(axis=1)) for one in (probabilities.argmax, probabilities.max))
    right = likeliest == torch.from_numpy(labels)
    error = reliability(surest[named], right[named], BINS).ece if named.any() else np.nan
    present = present_classes(labels, classes)
    areas = [placements(labels == k, probabilities[:, k])[0].mean() for k in present]
    return {
        "weighted AUC": float(np.average(areas, weights=[(labels == k).mean() for k in present])),
        "macro AUC": float(np.mean(areas)),
        **class_rates(labels, np.where(named, likeliest.numpy(), classes), classes),
        ERROR: error,
    }


def present_classes(labels: np.ndarray, classes: int) -> list[int]:
    """Return the classes that some of the subjects have, and not all."""
    return [k for k in range(classes) if 0 < (labels == k).sum() < len(labels)]


def classification_rows(predictions: Predictions) -> list[dict[str, str]]:
    """Return a row a measure, with its interval: the area of each class, and those of :func:`subject_rates`.

    ``value`` is that of the subjects to whom a class applies, ``of all`` that of all of them, see :data:`NOTES`.
    """
    answered = _measures(predictions.answered)
    everyone = answered if predictions.applies.all() else _measures(predictions)
    number = str(int((~predictions.applies).sum()))
    counted = {
        "measure": "subjects",
        "value": str(len(predictions.answered.subjects)),
        "of all": str(len(predictions.subjects)),
    }
    return [
        counted,
        {"measure": "not applicable", "value": "0", "of all": number},
        *({"measure": name, "value": str(value), "of all": str(everyone[name])} for name, value in answered.items()),
        {"measure": BY_CHANCE, "value": str(error_by_chance(predictions.answered.probabilities)), "of all": ""},
    ]


def error_by_chance(probabilities: np.ndarray) -> Interval:
    """Return the calibration error of subjects if the answers were right exactly as often as they say: mean and range.

    Few subjects have one however good the probabilities (N, classes) are.
    """
    surest = torch.from_numpy(probabilities.max(axis=1))
    if not len(surest):
        return UNDEFINED
    draws = torch.rand(2000, len(surest), generator=torch.Generator().manual_seed(0)) < surest
    errors = np.array([reliability(surest, right, BINS).ece for right in draws])
    return Interval(float(errors.mean()), *np.quantile(errors, (0.025, 0.975)).tolist())


def _measures(predictions: Predictions) -> dict[str, Any]:
    """Return each measure with its interval."""
    labels, values, classes = predictions.labels, predictions.probabilities, predictions.classes
    areas = {
        f"AUC, {classes[k]} against the rest": auc_interval(labels == k, values[:, k])
        for k in present_classes(labels, len(classes))
    }
    rates = partial(_rates_at, predictions)
    return areas | rate_intervals(labels, predictions.chosen, rates)


def _rates_at(predictions: Predictions, index: np.ndarray) -> dict[str, float]:
    return subject_rates(
        *(part[index] for part in (predictions.labels, predictions.probabilities, predictions.applies))
    )


def reader_rows(predictions: Predictions, path: Path) -> list[dict[str, str]]:
    """Return a row for the classifier and each human reader, and one for the agreement of the readers.

    Args:
        predictions: of the classifier.
        path: table with ``subject`` and a column a reader, each naming one of the classes; every subject of the
            predictions has a row.

    Raises:
        InputError: the table cannot be read, has no reader, or two rows of a subject; a subject is missing, or a reader
            named another class.
    """
    read = read_columns(path, "subject")
    rows = {row["subject"]: row for row in read}
    if len(rows) < len(read):
        twice = next(name for name, number in Counter(row["subject"] for row in read).items() if number > 1)
        raise InputError(f"table '{path}': subject '{twice}' has more than one row. Leave one.")
    if set(read[0]) == {"subject"}:
        raise InputError(
            f"table '{path}': there is no reader, only the column 'subject'. Add a column for each reader."
        )
    classes, labels = predictions.classes, predictions.labels
    for subject in predictions.subjects:
        answers = [value for name, value in rows.get(subject, {"none": "no row"}).items() if name != "subject"]
        wrong = [value for value in answers if value not in classes]
        if wrong:
            raise InputError(
                f"table '{path}': every reader must name one of {', '.join(classes)} for subject '{subject}', there is "
                f"'{wrong[0]}'. Correct it."
            )
    names = [name for name in next(iter(rows.values())) if name != "subject"]
    readers = {name: np.array([classes.index(rows[s][name]) for s in predictions.subjects]) for name in names}
    table = []
    for name, chosen in {"classifier": predictions.chosen, **readers}.items():
        rates = rate_intervals(labels, chosen, partial(_rates_of, labels, chosen, len(classes)))
        against = "" if name == "classifier" else f"{compare_readers(labels, predictions.chosen, chosen):.3f}"
        table.append({"reader": name, **{key: str(value) for key, value in rates.items()}, "McNemar p": against})
    if len(readers) > 1:
        kappa = fleiss_kappa(np.stack([*readers.values()], axis=1))
        table.append({"reader": f"Fleiss' kappa of {len(readers)} readers: {kappa:.3f}"})
    return table


def _rates_of(labels: np.ndarray, chosen: np.ndarray, classes: int, index: np.ndarray) -> dict[str, float]:
    return class_rates(labels[index], chosen[index], classes)


def plot_classification(predictions: Predictions, path: Path) -> None:
    """Draw confusion matrix, ROC curves, a class against the rest, and calibration of subjects that have an answer."""
    import matplotlib.pyplot as plt

    predictions = predictions.answered
    labels, values, classes = predictions.labels, predictions.probabilities, predictions.classes
    figure, (confusion, roc, calibration) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    counts = confusion_matrix(labels, predictions.chosen, labels=range(len(classes)))
    ConfusionMatrixDisplay(counts, display_labels=classes).plot(ax=confusion, colorbar=False, cmap="Blues")
    for k, name in enumerate(classes):
        if 0 < (labels == k).sum() < len(labels):
            RocCurveDisplay.from_predictions(labels == k, values[:, k], name=name, ax=roc)
            observed, mean = calibration_curve(labels == k, values[:, k], n_bins=5)
            calibration.plot(mean, observed, marker=".", label=name)
    for axes in (roc, calibration):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    calibration.set(xlabel="predicted probability", ylabel="observed frequency", title="calibration")
    calibration.legend(fontsize="small")
    roc.set(title="one class against the rest", xlabel="1 - specificity", ylabel="sensitivity")
    confusion.set(title="confusion")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def evaluate_classification(
    path: Path, out: Path, readers: Path | None = None, cohort: Path | None = None
) -> list[Path]:
    """Write the tables and the picture of a table of predictions; return the Markdown files.

    Args:
        path: see :func:`read_predictions`.
        out: folder; gets ``rates``, ``confusion``, ``readers`` and ``cohort``, each ``.tsv`` and ``.md``, and
            ``classification.png``.
        readers: see :func:`reader_rows`.
        cohort: see :func:`cohort_rows`.

    Raises:
        InputError: a table cannot be read.
    """
    predictions = read_predictions(path)
    classes = predictions.classes
    counts = confusion_matrix(predictions.labels, predictions.chosen, labels=range(len(classes) + 1))
    columns = [*classes, "not applicable"]
    confusion = [
        {"true": name, **dict(zip(columns, map(int, row), strict=True))}
        for name, row in zip(classes, counts, strict=False)
    ]
    tables: dict[str, tuple[str, Sequence[dict[str, Any]]]] = {
        "rates": (f"Classification of {len(predictions.subjects)} subjects", classification_rows(predictions)),
        "confusion": ("Confusion matrix", confusion),
    }
    if readers is not None:
        tables["readers"] = ("Beside human readers", reader_rows(predictions, readers))
    if cohort is not None:
        tables["cohort"] = ("Subjects", cohort_rows(cohort))
    for name, (title, rows) in tables.items():
        write_results(rows, out / name, title, NOTES)
    plot_classification(predictions, out / "classification.png")
    return [out / f"{name}.md" for name in tables]
