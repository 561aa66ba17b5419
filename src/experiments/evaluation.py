"""Lesion-wise rates of a detection bundle on cohorts: the work behind ``csvd evaluate``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from ..files import atomic_path
from ..metrics import FROCMetric, froc, summarize_cohort

MATCHES = ("overlap", "distance")
RATES = {"tpr": "TPR", "fps_per_subject": "FPs per subject", "precision": "precision", "f1": "F1"}


def evaluate_cohort(
    bundle: Path, dataset_dir: Path, *, overlays: Sequence[Path] = (), settings: Mapping[str, Any] | None = None
) -> tuple[dict[str, FROCMetric], float]:
    """Run the bundle's ``evaluate.json`` on the section "test" of a data list.

    Args:
        bundle: folder of the detection bundle.
        dataset_dir: folder with ``datalist.json``.
        overlays: further configs over ``train.json`` and ``evaluate.json``.
        settings: further values, by config id.

    Returns:
        The metric of each matching rule, "overlap" and "distance", holding the counts of all subjects; and the
        config's threshold.
    """
    configs = [bundle / "configs" / "train.json", bundle / "configs" / "evaluate.json", *overlays]
    parser = ConfigParser()
    parser.read_config([str(path) for path in configs])
    for name, value in {"bundle_root": str(bundle), "dataset_dir": str(dataset_dir), **(settings or {})}.items():
        parser[name] = value
    parser.get_parsed_content("validate#evaluator").run()
    return {match: parser.get_parsed_content(match) for match in MATCHES}, parser.get_parsed_content("threshold")


def operating_points(metrics: Mapping[str, FROCMetric], threshold: float, **row: Any) -> list[dict[str, Any]]:
    """Return a row per matching rule: ``row``, the rule, subjects, lesions, and each rate with its 95 % interval.

    The threshold is the nearest of those of the metric.
    """
    rows = []
    for match, metric in metrics.items():
        index = min(range(len(metric.thresholds)), key=lambda k: abs(metric.thresholds[k] - threshold))
        summary = summarize_cohort(metric.counts()[:, index], match=match)
        rates = {name: "{value:.3f} [{low:.3f}, {high:.3f}]".format(**summary[rate]) for rate, name in RATES.items()}
        point = {"threshold": round(metric.thresholds[index], ndigits=4)}
        rows.append({**row, "matching": match, **point, **{k: summary[k] for k in ("subjects", "lesions")}, **rates})
    return rows


def write_evaluation(rows: Sequence[Mapping[str, Any]], curves: Mapping[str, FROCMetric], out: Path) -> None:
    """Write ``rates.tsv``, ``rates.md`` and ``froc.png``, a curve per name, into ``out``."""
    import matplotlib.pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "rates.tsv") as path, path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
    with atomic_path(out / "rates.md") as path:
        path.write_text("".join(f"| {' | '.join(line)} |\n" for line in lines), encoding="utf-8")
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for name, metric in curves.items():
        curve = froc(metric.counts(), metric.thresholds, metric.match)
        order = torch.argsort(curve.fps)
        axes.plot(curve.fps[order], curve.tpr[order], marker=".", label=name)
    axes.set(xscale="symlog", xlabel="false positives per subject", ylabel="TPR", ylim=(0, 1.02), title="FROC")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic_path(out / "froc.png") as path:
        figure.savefig(path, dpi=120)
    plt.close(figure)
