"""Table 2 of Sundaresan et al. 2023: cross-validation, step by step."""

from __future__ import annotations

from pathlib import Path

import torch
from monai.data import create_cross_validation_datalist

from ..metrics import FROC, froc
from .ablation import NO_CLEAN_UP
from .sizes import Size
from .study import CASCADE, THRESHOLDS, Item, Study, Variant
from .tables import NOTE, plot_froc, rates_row, write_results

PRESETS = {"ukbb": "UKBB", "oxvasc": "OXVASC"}
STEPS = {  # overlays over evaluate_paper.json, and values
    "detection": (("evaluate_detector",), {}),
    "discrimination": ((), NO_CLEAN_UP),
    "clean-up": ((), {}),
}
PAPER = {
    ("ukbb", "detection"): "0.97 / 175",
    ("ukbb", "discrimination"): "0.95 / 24.2",
    ("ukbb", "clean-up"): "0.93 / 1.5 (0.59)",
    ("oxvasc", "detection"): "0.93 / 195.7",
    ("oxvasc", "discrimination"): "0.91 / 10.1",
    ("oxvasc", "clean-up"): "0.90 / 0.9 (0.84)",
}


def crossval(study: Study, size: Size, match: str = "overlap") -> Path:
    """Train and test on each fold of two simulated data sets; return the folder of table and picture.

    Of the folds, one is for testing, the next for choosing weights and thresholds, the rest for training. Counts of
    all test subjects are pooled.
    """
    rows = []
    panels: dict[str, dict[str, FROC]] = {}
    subjects = size.training + size.validation + size.test
    for preset in PRESETS:
        items = study.cohort(preset, subjects, seed=1)
        folds = [_fold(study, preset, items, fold, size.folds) for fold in range(size.folds)]
        weights = [study.train(data, CASCADE, Variant("cascade")) for data in folds]
        for step, (overlays, settings) in STEPS.items():
            found, everything = [], []
            for data, trained in zip(folds, weights, strict=True):
                variant = Variant(step, settings=settings)
                point = "tpr_95" if step == "detection" else "best_f1"
                index, test = study.chosen(data, trained, variant, match, point, overlays)
                found.append(test[:, index])
                everything.append(test)
            rates = rates_row(torch.cat(found), match)
            rows.append({"data": PRESETS[preset], "step": step, **rates, "paper": PAPER[preset, step]})
            panels.setdefault(PRESETS[preset], {})[step] = froc(torch.cat(everything), THRESHOLDS, match)
    notes = [
        f"{subjects} simulated subjects a data set in {size.folds} folds, split with seed 0; the fold after the test "
        "fold is for validation; counts of all folds pooled.",
        NOTE.format(match=match, seeds=0),
    ]
    write_results(rows, study.out / "crossval", "Cross-validation", notes)
    plot_froc(panels, study.out / "froc.png")
    return study.out


def _fold(study: Study, preset: str, items: list[Item], fold: int, folds: int) -> Path:
    """Write the data list of a fold and return its folder."""
    following = (fold + 1) % folds
    training = [other for other in range(folds) if other not in (fold, following)]
    sections = create_cross_validation_datalist(items, folds, training, fold, val_key="test", seed=0)
    sections |= create_cross_validation_datalist(items, folds, training, following, seed=0)
    return study.data(f"{preset}_fold_{fold}", **sections)
