"""Table 3 of Sundaresan et al. 2023: trained on one data set, tested on others."""

from __future__ import annotations

from pathlib import Path

from ..metrics import froc
from .sizes import Size
from .study import CASCADE, THRESHOLDS, Study, Variant
from .tables import NOTE, plot_froc, rates_row, write_results

TESTS = {  # preset: name, and TPR / FPs per subject of the paper
    "ukbb": ("UKBB SWI", "as trained"),
    "qsm": ("UKBB QSM", "0.90 / 1.8"),
    "tich2": ("TICH2 SWI", "0.82 / 3.1"),
    "shk": ("SHK SWI", "0.87 / 0.5"),
    "oxvasc": ("OXVASC GRE", "0.81 / 2.0"),
}


def generalize(study: Study, size: Size, match: str = "overlap") -> Path:
    """Train on simulated UK Biobank-like SWI and test on other protocols; return the folder of table and picture."""
    training, validation = (
        study.cohort("ukbb", count, seed) for count, seed in ((size.training, 1), (size.validation, 2))
    )
    cohorts = {preset: study.cohort(preset, size.test, seed=3) for preset in TESTS}
    data = study.data("ukbb", training=training, validation=validation, test=cohorts["ukbb"])
    cascade = Variant("cascade")
    weights = study.train(data, CASCADE, cascade)
    index, _ = study.chosen(data, weights, cascade, match)
    rows, curves = [], {}
    for preset, (name, paper) in TESTS.items():
        others = study.data(preset, training=training, validation=validation, test=cohorts[preset])
        counts = study.measure(others, weights, cascade)[match]
        rows.append({"test data": name, **rates_row(counts[:, index], match), "paper": paper})
        curves[name] = froc(counts, THRESHOLDS, match)
    notes = [
        f"Trained on {size.training} simulated UKBB-like subjects, threshold {THRESHOLDS[index]:.3g} chosen on "
        f"{size.validation} more.",
        NOTE.format(match=match, seeds=0),
    ]
    write_results(rows, study.out / "generalize", "Trained on UKBB-like SWI, tested elsewhere", notes)
    plot_froc({"trained on UKBB-like SWI": curves}, study.out / "froc.png")
    return study.out
