"""Tables and curves of the experiments, beside the numbers of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ..io.files import atomic_path
from ..io.tables import write_table
from ..lesions.burden import UNKNOWN
from ..metrics import FEW, FROC, operating_thresholds, pooled_rates, summarize_cohort

METHOD = (
    "bootstrap over subjects; exact (Clopper-Pearson, Poisson for FPs) where TPR, precision or F1 is 0 or 1, or where "
    f"fewer than {FEW} lesions, detections or FPs are counted"
)
NOTE = (
    "Lesions matched by {match}, thresholds chosen by distance; rates pooled. 95 % intervals: "
    f"{METHOD}. "
    "Seed {seeds}. Research use only."
)
INTERVAL = "{value:.3f} [{low:.3f}, {high:.3f}]"
RATES = {"tpr": "TPR", "fps_per_subject": "FPs per subject", "precision": "precision", "f1": "F1"}


def rates_row(counts: torch.Tensor, match: str) -> dict[str, str | int]:
    """Return subjects, lesions and the rates of counts (S, 4), each with its 95 % interval, see :data:`METHOD`."""
    summary = summarize_cohort(counts, match=match)
    rates = {name: show_interval(**summary[rate]) for rate, name in RATES.items()}
    return {"subjects": summary["subjects"], "lesions": summary["lesions"], **rates}


def show_interval(value: float, low: float, high: float) -> str:
    """Return a value with its interval as tables show it, "n/a" where it is not known."""
    return INTERVAL.format(value=value, low=low, high=high) if math.isfinite(value) else UNKNOWN


def chosen_threshold(counts: torch.Tensor, thresholds: Sequence[float], point: str = "best_f1") -> int:
    """Return the index of the threshold of an operating point on validation counts (S, T, 4).

    Args:
        counts: of the validation subjects.
        thresholds: T probabilities.
        point: one of :data:`csvd.metrics.OPERATING_POINTS`, or "tpr_95": the highest with a TPR of 0.95, for a step
            whose false positives the next one removes.
    """
    values = torch.tensor(thresholds, dtype=torch.float64)
    if point == "tpr_95":
        tpr = pooled_rates(counts.transpose(0, 1))["tpr"]
        return int((tpr >= min(0.95, float(tpr.max()))).nonzero().max())
    return int((values - operating_thresholds(counts, values)[point]).abs().argmin())


def write_results(rows: Sequence[Mapping[str, Any]], path: Path, title: str, notes: Sequence[str]) -> None:
    """Write ``<path>.tsv`` and ``<path>.md``, the second with a title, the date and notes.

    What a row has no value for stays empty.
    """
    write_table(rows, path.with_suffix(".tsv"), missing="")
    remarks = "".join(f"- {note}\n" for note in [f"{date.today():%Y-%m-%d}.", *notes])
    with atomic_path(path.with_suffix(".md")) as temporary:
        temporary.write_text(f"# {title}\n\n{markdown(rows)}\n{remarks}", encoding="utf-8")


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table in Markdown; what a row has no value for stays empty."""
    columns = _columns(rows)
    lines = [columns, ["---"] * len(columns), *([str(row.get(column, "")) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row))


def plot_froc(panels: Mapping[str, Mapping[str, FROC]], path: Path) -> None:
    """Draw panels of FROC curves, each with its name.

    A curve goes from the highest threshold down to that with the most false positives: below it, clusters merge.
    """
    import matplotlib.pyplot as plt

    figure, row = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 4.2), layout="constrained", squeeze=False)
    for axes, (title, curves) in zip(row[0], panels.items(), strict=True):
        for name, curve in curves.items():
            order = torch.argsort(curve.thresholds, descending=True)
            order = order[: int(curve.fps[order].argmax()) + 1]
            axes.plot(curve.fps[order], curve.tpr[order], marker=".", label=name)
        axes.set(xscale="symlog", xlabel="false positives per subject", ylabel="TPR", ylim=(0, 1.02), title=title)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
