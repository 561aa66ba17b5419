"""Tables, JSON and pictures of how well the lesions of cohorts are found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Any

from ..io.files import atomic_path, write_text
from ..io.tables import write_table
from ..metrics import FROC, RULES
from .tables import METHOD, RATES, UNKNOWN, markdown, plot_froc, show_interval

Figures = Mapping[str, Any]

NOTES = (
    *(f"Matching by {name}: {rule}." for name, rule in RULES.items()),
    "Lesions are the 26-connected clusters of a label, detections what `csvd detect` reports. A scan that failed "
    "counts, with nothing found.",
    f"Rates are pooled over scans. 95 % intervals: {METHOD}. A subject is a scan. That of the median F1 of scans with "
    "lesions is a bootstrap interval.",
    "VALDO Task 2 (https://doi.org/10.1016/j.media.2023.103029): medians [quartiles] over scans, F1 by distance. Dice "
    "and F1 are those of scans with a lesion, as without one they are not defined; differences are those of all scans.",
    "Sensitivity by size: by distance, in bins of the diameter of the sphere that has the volume of the label's "
    "lesion, with 95 % Clopper-Pearson intervals.",
    "Agreement (Bland-Altman): reported minus true. Reported volumes are those of the lesion tables, true ones those "
    "of the voxels of labels.",
    "n/a: not known, such as what needs masks where labels are points.",
    "Research use only.",
)
CHALLENGE = {
    "dice": "Dice",
    "volume_difference_mm3": "absolute volume difference, mm3",
    "f1": "F1",
    "count_difference": "absolute count difference",
}
MEASURED = {"count": "number of lesions", "volume_mm3": "volume of lesions, mm3"}


def write_evaluation(cohorts: Sequence[Figures], curves: Mapping[str, FROC], out: Path) -> None:
    """Write ``rates.md``, ``rates.tsv``, ``scans.tsv``, ``rates.json``, ``froc.png`` and ``bland_altman.png``.

    Args:
        cohorts: from :func:`csvd.experiments.evaluation_figures.cohort_figures`.
        curves: by name.
        out: folder.
    """
    rates = [row for one in cohorts for row in rate_rows(one)]
    parts = {
        "Lesion-wise rates": rates,
        "VALDO Task 2": [challenge_row(one) for one in cohorts],
        "Sensitivity by size": [row for one in cohorts for row in size_rows(one)],
        "Agreement": [row for one in cohorts for row in agreement_rows(one)],
    }
    write_table(rates, out / "rates.tsv", missing="")
    scans = [{"cohort": one["cohort"], **_told(scan)} for one in cohorts for scan in one["each"]]
    write_table(scans, out / "scans.tsv", missing="")
    write_text(as_json(cohorts) + "\n", out / "rates.json")
    body = "".join(f"# {title}\n\n{markdown(rows)}\n" for title, rows in parts.items())
    notes = "".join(f"- {note}\n" for note in (f"{date.today():%Y-%m-%d}.", *NOTES))
    write_text(body + notes, out / "rates.md")
    plot_froc({"FROC": curves}, out / "froc.png")
    plot_agreement(cohorts, out / "bland_altman.png")


def as_json(cohorts: Sequence[Figures]) -> str:
    """Return the figures of cohorts as one JSON document; what is not known, or has no limit, is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not isfinite(value) else value

    return json.dumps({"matching": RULES, "cohorts": plain(list(cohorts))}, indent=1, ensure_ascii=False)


def rate_rows(cohort: Figures) -> list[dict[str, Any]]:
    """Return a row a matching rule: threshold, subjects, lesions, and rates with their intervals."""
    of = {name: ", ".join(f"{value:.4f}" for value in values) for name, values in cohort["thresholds"].items()}
    threshold = "; ".join(of.values() if len(of) == 1 else (f"{name} {values}" for name, values in of.items()))
    names, rows = {**RATES, "median_f1": "median F1"}, []
    for rule, rates in cohort["rates"].items():
        columns: dict[str, Any] = {"subjects": 0, "lesions": UNKNOWN, **dict.fromkeys(names.values(), UNKNOWN)}
        if rates is not None:
            columns = {key: rates[key] for key in ("subjects", "lesions")}
            columns |= {name: show_interval(**rates[key]) for key, name in names.items()}
        rows.append({"cohort": cohort["cohort"], "matching": rule, "threshold": threshold, **columns})
    return rows


def challenge_row(cohort: Figures) -> dict[str, Any]:
    """Return the row of a cohort among the figures of VALDO."""
    counts = {"scans": cohort["scans"], "failed": cohort["failed"], "without lesions": cohort["without_lesions"]}
    figures = {}
    for key, name in CHALLENGE.items():
        one = cohort["valdo"][key]
        figures[name] = show_interval(one["median"], one["low"], one["high"])
    return {"cohort": cohort["cohort"], **counts, **figures}


def size_rows(cohort: Figures) -> list[dict[str, Any]]:
    """Return a row for each bin of diameters."""
    rows = []
    for one in cohort["sizes"]:
        low, high = one["low_mm"], one["high_mm"]
        name = f"{low:g} to < {high:g}" if low and isfinite(high) else f">= {low:g}" if low else f"< {high:g}"
        counts = {key: UNKNOWN if one[key] is None else one[key] for key in ("lesions", "found")}
        row = {"cohort": cohort["cohort"], "diameter, mm": name, **counts}
        rows.append({**row, "sensitivity": show_interval(**one["sensitivity"])})
    return rows


def agreement_rows(cohort: Figures) -> list[dict[str, Any]]:
    """Return a row for the number of lesions, and one for their volume."""
    rows = []
    for key, name in MEASURED.items():
        one = cohort["agreement"][key]
        bias, low, high = (f"{one[part]:.2f}" if isfinite(one[part]) else UNKNOWN for part in ("bias", "low", "high"))
        limits = UNKNOWN if UNKNOWN in (low, high) else f"{low} to {high}"
        rows.append(
            {"cohort": cohort["cohort"], "of": name, "scans": one["scans"], "bias": bias, "95 % limits": limits}
        )
    return rows


def plot_agreement(cohorts: Sequence[Figures], path: Path) -> None:
    """Draw the Bland-Altman plots of counts and volumes, a row a cohort."""
    import matplotlib.pyplot as plt

    size = (11, 4 * len(cohorts))
    figure, grid = plt.subplots(len(cohorts), 2, figsize=size, layout="constrained", squeeze=False)
    keys = {"count": ("detections", "lesions"), "volume_mm3": ("reported_mm3", "volume_mm3")}
    for row, cohort in zip(grid, cohorts, strict=True):
        for axes, (key, (reported, true)) in zip(row, keys.items(), strict=True):
            pairs = [(scan[reported], scan[true]) for scan in cohort["each"]]
            axes.scatter([(a + b) / 2 for a, b in pairs], [a - b for a, b in pairs], alpha=0.6)
            for part, style in (("bias", "-"), ("low", "--"), ("high", "--")):
                value = cohort["agreement"][key][part]
                if isfinite(value):
                    axes.axhline(value, color="0.4", linestyle=style, label=f"{part} {value:.2f}")
            axes.set(title=f"{cohort['cohort']}: {MEASURED[key]}", xlabel="mean of reported and true")
            axes.set_ylabel("reported minus true")
            if axes.lines:
                axes.legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def _told(scan: Figures) -> dict[str, Any]:
    """Return the row of a scan; what is not known is "n/a"."""
    unknown = {
        key for key, value in scan.items() if value is None or (isinstance(value, float) and not isfinite(value))
    }
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in scan.items()}
    return rounded | dict.fromkeys(unknown, UNKNOWN)
