"""Training strategies across field strengths, after Chen et al. 2019: which discriminator holds on which scanner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import RocCurveDisplay

from ..engines import load_weights
from ..io.files import atomic_path
from ..io.tables import write_table
from ..metrics.classification import auc_interval
from .candidates import CandidateTable, bundle_detector, likelihood, search
from .sizes import Size
from .study import Study, Variant
from .tables import INTERVAL, METHOD, rates_row, write_results

TESTS = {"ucsf7t": "7T", "ucsf3t": "3T", "ccm3t": "3T, CCM"}
SEVEN, TUNED, THREE, BOTH = "trained on 7T", "7T, fine-tuned on 3T", "trained on 3T", "trained on 7T and 3T"
STRATEGIES = {SEVEN: ("ucsf7t",), TUNED: ("ucsf3t",), THREE: ("ucsf3t",), BOTH: ("ucsf7t", "ucsf3t")}
THRESHOLD = 0.1
RESIDUAL = ("train_student_no_kd", "residual", "train_residual")
EXAMPLES = 6


@dataclass(frozen=True)
class Transfer:
    """The trainings and measurements of one study, each done once."""

    study: Study
    size: Size

    @cached_property
    def detector(self) -> Path:
        """Folder with the weights of the bundle's own detector, which searches the candidates."""
        return bundle_detector(self.study)

    def train(self, strategy: str, fold: int) -> Path:
        """Train the discriminator of a fold, unless that is done, and return its weights."""
        cohorts = [self.study.cohort(preset, self.size.training, 1) for preset in STRATEGIES[strategy]]
        items = [{**item, "fold": index % self.size.folds} for cohort in cohorts for index, item in enumerate(cohort)]
        data = self.study.data(strategy.replace(",", "").replace(" ", "_"), training=items)
        settings: dict[str, Any] = {"fold": fold}
        if strategy == TUNED:
            start = self.train(SEVEN, fold)
            settings["student#stage#builds_on"] = [
                ["@detector", str(self.detector / "detector.pt")],
                ["@student#network", str(start)],
            ]
        variant = Variant(f"fold_{fold}", (*RESIDUAL, "train_fold"), settings)
        return self.study.train(data, ["train_fold"], variant, self.detector) / "student.pt"

    def candidates(self, preset: str) -> CandidateTable:
        """Search the test subjects of a protocol."""
        data = self.study.data(preset, test=self.study.cohort(preset, self.size.test, 2))
        return search(self.study, data, self.detector, Variant(preset, RESIDUAL))

    def likelihood(self, strategy: str, preset: str, candidates: CandidateTable) -> np.ndarray:
        """Return the mean over the folds of the probability that each candidate is a microbleed, (N,)."""
        network = self.study.parser(self.detector, self.detector, Variant(preset, RESIDUAL)).get_parsed_content(
            "network"
        )
        of_folds = []
        for fold in range(self.size.folds):
            load_weights(network.discriminator, self.train(strategy, fold))
            of_folds.append(likelihood(network, candidates))
        return np.mean(of_folds, axis=0)


def transfer(study: Study, size: Size) -> Path:
    """Train four ways and test on three protocols; return the folder of table and pictures.

    The bundle's detector gives the candidates. A likelihood is the mean of the networks of all folds, each of which
    left one fold out. Subjects with cavernous malformations (CCM) are in no training.
    """
    work = Transfer(study, size)
    rows, likelihoods, tested = [], {}, {}
    for preset, test in TESTS.items():
        tested[test] = found = work.candidates(preset)
        likelihoods[test] = {name: work.likelihood(name, preset, found) for name in STRATEGIES}
        _save(found, likelihoods[test], study.out / f"candidates_{preset}.tsv")
        for name, values in likelihoods[test].items():
            rows.append({"test": test, "strategy": name, **_rates(found, values)})
    notes = [
        f"{size.training} simulated development subjects a protocol in {size.folds} folds, {size.test} test subjects; "
        f"likelihood: mean of the folds' networks, threshold {THRESHOLD}. CCM is in no training.",
        "Rates of the candidates of the bundle's detector; what it missed is not in them. 95 % intervals: DeLong for "
        f"AUC, else {METHOD}. Seed 0. Research use only.",
    ]
    write_results(rows, study.out / "transfer", "Training strategies across field strengths", notes)
    plot_roc(tested, likelihoods, study.out / "roc.png")
    plot_removed(tested["3T"], likelihoods["3T"], study.out / "removed.png")
    return study.out


def _rates(found: CandidateTable, likelihood: np.ndarray) -> dict[str, str | int]:
    kept = likelihood >= THRESHOLD
    of = [found.subjects == subject for subject in np.unique(found.subjects)]
    parts = (found.labels == 1, kept & (found.labels == 1), kept, kept & (found.labels == 0))
    rates = rates_row(torch.tensor([[int((part & mine).sum()) for part in parts] for mine in of]), "overlap")
    area = auc_interval(found.labels == 1, likelihood)
    return {
        "microbleeds": int((found.labels == 1).sum()),
        "other candidates": int((found.labels == 0).sum()),
        "AUC": INTERVAL.format(value=area.value, low=area.low, high=area.high),
        "sensitivity": rates["TPR"],
        "precision": rates["precision"],
        "FPs per scan": rates["FPs per subject"],
    }


def _save(found: CandidateTable, likelihoods: dict[str, np.ndarray], path: Path) -> None:
    columns = {"subject": found.subjects, "label": found.labels, **likelihoods}
    values = zip(*(one.tolist() for one in columns.values()), strict=True)
    write_table([dict(zip(columns, row, strict=True)) for row in values], path, columns)


def plot_roc(tested: dict[str, CandidateTable], likelihoods: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Draw the ROC curves of the strategies, a panel a test set."""
    import matplotlib.pyplot as plt

    figure, row = plt.subplots(1, len(tested), figsize=(4.6 * len(tested), 4.4), layout="constrained")
    for axes, (test, found) in zip(row, tested.items(), strict=True):
        for name, values in likelihoods[test].items():
            RocCurveDisplay.from_predictions(found.labels, values, name=name, ax=axes)
        axes.set(title=f"test: {test}", xlabel="1 - specificity", ylabel="sensitivity")
        axes.legend(fontsize="x-small", loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def plot_removed(found: CandidateTable, likelihoods: dict[str, np.ndarray], path: Path) -> None:
    """Draw false positives of the 7T networks that fine-tuning removed, the clearest first: middle slices of each."""
    import matplotlib.pyplot as plt

    before, after = likelihoods[SEVEN], likelihoods[TUNED]
    removed = (found.labels == 0) & (before >= THRESHOLD) & (after < THRESHOLD)
    shown = np.flatnonzero(removed)[np.argsort((after - before)[removed])][:EXAMPLES]
    middle = found.patches.shape[-1] // 2
    slices = range(middle - 2, middle + 3)
    size = (1.3 * len(slices) + 2, 1.4 * max(1, len(shown)) + 0.4)
    figure, grid = plt.subplots(max(1, len(shown)), len(slices), figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for row, index in zip(grid, shown, strict=False):
        shades = {"vmin": float(found.patches[index, 0].min()), "vmax": float(found.patches[index, 0].max())}
        for axes, k in zip(row, slices, strict=True):
            axes.imshow(found.patches[index, 0, :, :, k].T, cmap="gray", origin="lower", **shades)
        row[-1].set_title(f" {before[index]:.2f} → {after[index]:.2f}", fontsize="small", loc="left")
    figure.suptitle(f"False positives that fine-tuning removed: {int(removed.sum())}, likelihood before → after")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
