"""Lesion-wise rates of a detection bundle on cohorts: the work behind ``csvd evaluate detection``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..bundles import find_overlay
from ..metrics import MATCHES, FROCMetric, summarize_cohort
from .tables import INTERVAL, plot_froc, rates_row, write_table


def evaluate_cohort(
    bundle: Path,
    dataset_dir: Path,
    *,
    overlays: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    threshold: float | None = None,
) -> tuple[dict[str, FROCMetric], float]:
    """Run the bundle's ``evaluate.json`` on the section "test" of a data list.

    Args:
        bundle: folder of the detection bundle.
        dataset_dir: folder with ``datalist.json``.
        overlays: further configs over ``train.json`` and ``evaluate.json``, see :func:`csvd.bundles.find_overlay`; with
            ``paper`` among them, over ``train_paper.json`` and ``evaluate_paper.json``.
        settings: further values, by config id.
        threshold: is among those that are counted at; the config's when not given.

    Returns:
        The metric of each matching rule, "overlap" and "distance", holding the counts of all subjects; and the
        threshold.

    Raises:
        InputError: an overlay does not exist.
    """
    files = [find_overlay(bundle, overlay).resolve() for overlay in overlays]
    paper = (bundle / "configs" / "paper.json").resolve()
    names = ("train_paper", "evaluate_paper") if paper in files else ("train", "evaluate")
    configs = [bundle / "configs" / f"{name}.json" for name in names]
    parser = ConfigParser()
    parser.read_config([str(path) for path in [*configs, *(file for file in files if file != paper)]])
    for name, value in {"bundle_root": str(bundle), "dataset_dir": str(dataset_dir), **(settings or {})}.items():
        parser[name] = value
    threshold = parser.get_parsed_content("threshold") if threshold is None else threshold
    for match in MATCHES:
        parser[f"{match}#thresholds"] = sorted({*FROCMetric().thresholds, threshold})
    parser.get_parsed_content("validate#evaluator").run()
    return {match: parser.get_parsed_content(match) for match in MATCHES}, threshold


def operating_points(metrics: Mapping[str, FROCMetric], threshold: float, **row: Any) -> list[dict[str, Any]]:
    """Return a row per matching rule: ``row``, the rule, subjects, lesions, and each rate with its 95 % interval.

    The last column is the score of the VALDO challenge where the rule is "distance": the median over subjects of their
    own F1, those without a lesion left out. The threshold is the nearest of those of the metric.
    """
    rows = []
    for match, metric in metrics.items():
        index = min(range(len(metric.thresholds)), key=lambda k: abs(metric.thresholds[k] - threshold))
        point = {"threshold": round(metric.thresholds[index], ndigits=4)}
        counts = metric.counts()[:, index]
        median = summarize_cohort(counts, match=match, reduction="subject_median")["f1"]
        score = {"median F1": INTERVAL.format(**median)}
        rows.append({**row, "matching": match, **point, **rates_row(counts, match), **score})
    return rows


def write_evaluation(rows: Sequence[Mapping[str, Any]], curves: Mapping[str, FROCMetric], out: Path) -> None:
    """Write ``rates.tsv``, ``rates.md`` and ``froc.png``, a curve per name, into ``out``."""
    write_table(rows, out / "rates", "Lesion-wise rates", ["95 % bootstrap intervals over subjects."])
    plot_froc({"FROC": {name: metric.curve() for name, metric in curves.items()}}, out / "froc.png")
