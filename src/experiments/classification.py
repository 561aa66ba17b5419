"""How good a classifier of subjects is, beside human readers: the work behind ``csvd evaluate classification``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, confusion_matrix

from ..checks import InputError
from ..io.files import atomic_path
from ..io.tables import read_table
from ..metrics import reliability
from ..metrics.classification import (
    auc_interval,
    class_rates,
    compare_readers,
    fleiss_kappa,
    placements,
    rate_intervals,
)
from .tables import write_results

NOT_CLASSES = ("subject", "csvd", "imputed", "disagreement")
NOTES = [
    "95 % intervals: stratified bootstrap over subjects (2000 draws, seed 0), DeLong for the area of a class; exact "
    "(Clopper-Pearson) where a rate or area is 0 or 1, and for accuracy of fewer than 20 subjects.",
    "Research use only.",
]


@dataclass(frozen=True)
class Predictions:
    """Subjects (N), names of the classes (C), true classes (N,) and probabilities (N, C)."""

    subjects: list[str]
    classes: list[str]
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """The likeliest class of each subject, (N,)."""
        return self.probabilities.argmax(axis=1)


def read_columns(path: Path, *needed: str) -> list[dict[str, str]]:
    """Return the rows of a table, tab-separated.

    Raises:
        InputError: the file is missing, has no rows, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"table '{path}' does not exist: check the path.")
    rows = read_table(path)
    columns = list(rows[0]) if rows else []
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            f"table '{path}' must have rows with the column '{missing[0]}', separated by tabs, its columns are "
            f"{columns}. Add it."
        )
    return rows


def read_predictions(path: Path) -> Predictions:
    """Read what ``evaluate.json`` of the classification bundle wrote.

    Every column but ``subject``, ``csvd``, ``imputed`` and ``disagreement`` is a class.

    Raises:
        InputError: the table cannot be read, a subject's true class is none of its columns, or all have the same.
    """
    rows = read_columns(path, "subject", "csvd")
    classes = [name for name in rows[0] if name not in NOT_CLASSES]
    for row in rows:
        if row["csvd"] not in classes:
            raise InputError(
                f"table '{path}': `csvd` of subject '{row['subject']}' must be one of {', '.join(classes)}, it is "
                f"'{row['csvd']}'. Add the diagnosis or take the subject out."
            )
    if len({row["csvd"] for row in rows}) < 2:
        raise InputError(
            f"table '{path}' must have subjects of two classes or more, to tell apart, its {len(rows)} are all "
            f"'{rows[0]['csvd']}'. Add others."
        )
    labels = np.array([classes.index(row["csvd"]) for row in rows])
    values = np.array([[float(row[name]) for name in classes] for row in rows])
    return Predictions([row["subject"] for row in rows], classes, labels, values)


def subject_rates(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return areas one against the rest, weighted and plain mean, accuracy, precision, recall, F1 and ECE.

    Args:
        labels: (N,) classes.
        probabilities: (N, classes).
    """
    classes = probabilities.shape[1]
    chosen = probabilities.argmax(axis=1)
    calibration = reliability(torch.from_numpy(probabilities.max(axis=1)), torch.from_numpy(chosen == labels), bins=10)
    present = present_classes(labels, classes)
    areas = [placements(labels == k, probabilities[:, k])[0].mean() for k in present]
    return {
        "weighted AUC": float(np.average(areas, weights=[(labels == k).mean() for k in present])),
        "macro AUC": float(np.mean(areas)),
        **class_rates(labels, chosen, classes),
        "expected calibration error": calibration.ece,
    }


def present_classes(labels: np.ndarray, classes: int) -> list[int]:
    """Return the classes that some of the subjects have, and not all."""
    return [k for k in range(classes) if 0 < (labels == k).sum() < len(labels)]


def classification_rows(predictions: Predictions) -> list[dict[str, str]]:
    """Return a row a measure, with its interval: the area of each class, and those of :func:`subject_rates`."""
    labels, values, classes = predictions.labels, predictions.probabilities, predictions.classes
    rows = [
        {"measure": f"AUC, {classes[k]} against the rest", "value": str(auc_interval(labels == k, values[:, k]))}
        for k in present_classes(labels, len(classes))
    ]
    intervals = rate_intervals(labels, predictions.chosen, lambda index: subject_rates(labels[index], values[index]))
    return rows + [{"measure": name, "value": str(value)} for name, value in intervals.items()]


def reader_rows(predictions: Predictions, path: Path) -> list[dict[str, str]]:
    """Return a row for the classifier and each human reader, and one for the agreement of the readers.

    Args:
        predictions: of the classifier.
        path: table with ``subject`` and a column a reader, each naming one of the classes; every subject of the
            predictions has a row.

    Raises:
        InputError: the table cannot be read, a subject is missing, or a reader named another class.
    """
    rows = {row["subject"]: row for row in read_columns(path, "subject")}
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


def cohort_rows(path: Path) -> list[dict[str, str]]:
    """Return a row a column of a table of subjects, by ``csvd``: mean and spread with ANOVA, or shares with chi-square.

    Columns whose values all differ and are no numbers, such as names, are left out.

    Raises:
        InputError: the table cannot be read.
    """
    rows = read_columns(path, "csvd")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["csvd"], []).append(row)
    table = [{"": "subjects", **{name: str(len(group)) for name, group in groups.items()}}]
    for column in rows[0]:
        values = {name: [row[column] for row in group if row[column]] for name, group in groups.items()}
        everything = [value for group in values.values() for value in group]
        if column == "csvd" or not everything:
            continue
        if all(map(_is_number, everything)):
            table.append(_numbers_row(column, {name: np.array(group, float) for name, group in values.items()}))
        elif len(set(everything)) <= len(everything) / 2:
            table += _kinds_rows(column, values)
    return table


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers_row(column: str, values: dict[str, np.ndarray]) -> dict[str, str]:
    cells = {name: f"{group.mean():.1f} +- {group.std(ddof=1):.1f}" for name, group in values.items() if len(group) > 1}
    p = stats.f_oneway(*values.values()).pvalue if len(cells) == len(values) > 1 else np.nan
    return {"": column, **cells, "p": f"{p:.3g} (ANOVA)"}


def _kinds_rows(column: str, values: dict[str, list[str]]) -> list[dict[str, str]]:
    kinds = sorted({value for group in values.values() for value in group})
    counts = np.array([[group.count(kind) for group in values.values()] for kind in kinds])
    p = stats.chi2_contingency(counts).pvalue if min(counts.shape) > 1 and counts.sum(axis=0).all() else np.nan
    shares = counts / counts.sum(axis=0).clip(min=1)
    rows = [
        {"": f"{column}: {kind}", **{name: f"{counts[i, j]} ({shares[i, j]:.0%})" for j, name in enumerate(values)}}
        for i, kind in enumerate(kinds)
    ]
    return [{**rows[0], "p": f"{p:.3g} (chi-square)"}, *rows[1:]]


def plot_classification(predictions: Predictions, path: Path) -> None:
    """Draw the confusion matrix, a ROC curve of each class against the rest, and the calibration curve."""
    import matplotlib.pyplot as plt

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
    counts = confusion_matrix(predictions.labels, predictions.chosen, labels=range(len(classes)))
    confusion = [
        {"true": name, **dict(zip(classes, map(int, row), strict=True))}
        for name, row in zip(classes, counts, strict=True)
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
