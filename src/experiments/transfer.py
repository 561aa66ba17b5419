"""Training strategies across field strengths, after Chen et al. 2019: which discriminator holds on which scanner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from statsmodels.stats.multitest import multipletests

from ..engines.calibration import BINS
from ..io.files import atomic_path
from ..io.tables import write_table
from ..metrics import fit_platt, reliability
from ..metrics.classification import auc_difference, auc_interval
from ..metrics.exact import Interval
from .candidates import CandidateTable, bundle_detector, joined, stored_candidates
from .distillation import MINUS
from .patch_training import candidate_odds, train_on_candidates
from .sizes import Size
from .study import Study, Variant
from .tables import METHOD, rates_row, write_results
from .transfer_figures import plot_removed, plot_roc

DEVELOPMENT = ("ucsf7t", "ucsf3t")
TESTS = {"ucsf7t": "7T", "ucsf3t": "3T", "ccm3t": "3T, CCM"}
SEVEN, TUNED, THREE, BOTH = "trained on 7T", "7T, fine-tuned on 3T", "trained on 3T", "trained on 7T and 3T"
STRATEGIES = {SEVEN: ("ucsf7t",), TUNED: ("ucsf3t",), THREE: ("ucsf3t",), BOTH: DEVELOPMENT}
PAIRS = ((TUNED, SEVEN), (THREE, SEVEN), (BOTH, SEVEN), (TUNED, THREE), (BOTH, TUNED))
THRESHOLD = 0.1
RESIDUAL = ("train_student_no_kd", "residual", "train_residual")


@dataclass(frozen=True)
class Transfer:
    """The candidates and trainings of one study, each made once."""

    study: Study
    size: Size

    @cached_property
    def detector(self) -> Path:
        """Folder with the weights of the bundle's own detector, which searches the candidates."""
        return bundle_detector(self.study)

    @cached_property
    def development(self) -> dict[str, CandidateTable]:
        """Candidates of the development subjects, by preset."""
        return {name: self.candidates(name, self.size.training, k) for k, name in enumerate(DEVELOPMENT, start=1)}

    @cached_property
    def tested(self) -> dict[str, CandidateTable]:
        """Candidates of the test subjects, by the name of the test."""
        return {test: self.candidates(name, self.size.test, k) for k, (name, test) in enumerate(TESTS.items(), start=3)}

    def candidates(self, preset: str, subjects: int, seed: int) -> CandidateTable:
        """Search a simulated cohort."""
        data = self.study.data(f"{preset}_{seed}", test=self.study.cohort(preset, subjects, seed))
        return stored_candidates(self.study, data, self.detector, Variant(preset, RESIDUAL))

    def parser(self, fold: int) -> ConfigParser:
        """Return the configs of the residual network of a fold; each has other first weights."""
        variant = Variant("residual", RESIDUAL, {"seed": fold, **self.size.settings})
        return self.study.parser(self.detector, self.detector, variant)

    def weights(self, strategy: str, fold: int) -> Path:
        """Return the file of the weights of a training."""
        folder = self.study.out / "weights" / strategy.replace(",", "").replace(" ", "_")
        return folder / f"fold_{fold}" / "residual.pt"

    def train(self, strategy: str, fold: int, tables: Mapping[str, CandidateTable]) -> dict[str, Any]:
        """Train without the subjects of a fold, unless that is done, and return what is known of the training."""
        path = self.weights(strategy, fold)
        record = path.with_name("training.json")
        if not record.exists():
            self.study.say(f"training: {strategy}, fold {fold + 1} of {self.size.folds}")
            training, validation = (self.part(strategy, fold, tables, held_out) for held_out in (False, True))
            start = self.weights(SEVEN, fold) if strategy == TUNED else None
            found = train_on_candidates(self.parser(fold), training, validation, path, start)
            with atomic_path(record) as temporary:
                temporary.write_text(json.dumps(found), encoding="utf-8")
        return json.loads(record.read_text(encoding="utf-8"))

    def part(self, strategy: str, fold: int, tables: Mapping[str, CandidateTable], held_out: bool) -> CandidateTable:
        """Return the development candidates of a strategy that are in the fold, or that are not."""
        mine = [tables[preset] for preset in STRATEGIES[strategy]]
        return joined([one.of((one.subjects % self.size.folds == fold) == held_out) for one in mine])

    def odds(self, strategy: str, fold: int, table: CandidateTable) -> np.ndarray:
        """Return the log-odds (N,) of candidates by the network of a fold."""
        return candidate_odds(self.parser(fold), table, self.weights(strategy, fold))

    def calibration(self, strategy: str, tables: Mapping[str, CandidateTable]) -> tuple[float, float]:
        """Return temperature and bias, fitted on what each fold's network says of the subjects that it left out."""
        parts = [self.part(strategy, fold, tables, held_out=True) for fold in range(self.size.folds)]
        odds = [torch.from_numpy(self.odds(strategy, fold, part)) for fold, part in enumerate(parts)]
        labels = torch.from_numpy(np.concatenate([part.labels for part in parts]))
        return fit_platt(torch.cat(odds), labels, torch.ones(len(labels)))

    def likelihood(self, strategy: str, table: CandidateTable, platt: tuple[float, float]) -> np.ndarray:
        """Return the mean over the folds of the calibrated probability that each candidate is a microbleed, (N,)."""
        of_folds = [torch.from_numpy(self.odds(strategy, fold, table)).double() for fold in range(self.size.folds)]
        temperature, bias = platt
        return (torch.stack(of_folds) / temperature + bias).sigmoid().mean(dim=0).numpy()


def transfer(study: Study, size: Size) -> Path:
    """Train four ways and test on three protocols; return the folder of tables and pictures.

    The bundle's detector gives the candidates. A likelihood is the mean of the networks of all folds, each of which
    left one fold out, after one calibration a strategy. Subjects with cavernous malformations (CCM) are in no training.
    """
    work = Transfer(study, size)
    development, tested = work.development, work.tested
    trainings = [
        {"strategy": name, "fold": fold + 1, **work.train(name, fold, development)}
        for name in STRATEGIES
        for fold in range(size.folds)
    ]
    platt = {name: work.calibration(name, development) for name in STRATEGIES}
    rows, differences = [], []
    likelihoods: dict[str, dict[str, np.ndarray]] = {}
    for (preset, test), found in zip(TESTS.items(), tested.values(), strict=True):
        likelihoods[test] = said = {name: work.likelihood(name, found, platt[name]) for name in STRATEGIES}
        _save(found, said, study.out / f"candidates_{preset}.tsv")
        rows += [{"test": test, "strategy": n, **_rates(found, said[n]), **_stops(trainings, n)} for n in STRATEGIES]
        differences += [_difference(test, found, said, *pair) for pair in PAIRS]
    _write(study, size, rows, differences, trainings)
    plot_roc(tested, likelihoods, study.out / "roc.png")
    plot_removed(tested["3T"], likelihoods["3T"][SEVEN], likelihoods["3T"][TUNED], THRESHOLD, study.out / "removed.png")
    return study.out


def _rates(found: CandidateTable, likelihood: np.ndarray) -> dict[str, str | int]:
    """Return the rates of candidates with these likelihoods (N,)."""
    kept, true = likelihood >= THRESHOLD, found.labels == 1
    of = [found.subjects == subject for subject in np.unique(found.subjects)]
    parts = (true, kept & true, kept, kept & ~true)
    rates = rates_row(torch.tensor([[int((part & mine).sum()) for part in parts] for mine in of]), "overlap")
    error = reliability(torch.from_numpy(likelihood), torch.from_numpy(found.labels), BINS).ece
    return {
        "microbleeds": int(true.sum()),
        "other candidates": int((~true).sum()),
        "AUC": str(auc_interval(true, likelihood)),
        "sensitivity": rates["TPR"],
        "precision": rates["precision"],
        "FPs per scan": rates["FPs per subject"],
        "ECE": f"{error:.3f}",
    }


def _stops(trainings: Sequence[Mapping[str, Any]], strategy: str) -> dict[str, str]:
    """Return after how many epochs the trainings of a strategy were best, and whether all had stopped rising."""
    mine = [one for one in trainings if one["strategy"] == strategy]
    best = [one["best epoch"] for one in mine]
    converged = sum(bool(one["converged"]) for one in mine)
    between = f"{min(best)} to {max(best)}" if min(best) < max(best) else str(best[0])
    return {"best epochs": between, "converged": f"{converged} of {len(mine)}"}


def _difference(
    test: str, found: CandidateTable, said: Mapping[str, np.ndarray], first: str, second: str
) -> dict[str, Any]:
    """Return the row of the AUC of one strategy minus that of another."""
    difference, p = auc_difference(found.labels == 1, said[first], said[second])
    return {"test": test, "AUC of": first, "minus AUC of": second, "difference": signed(difference), "p": p}


def signed(value: Interval) -> str:
    """Return a difference with its interval; its minus is that of text, because a table quotes a leading hyphen."""
    return str(value).replace("-", MINUS)


def _write(
    study: Study,
    size: Size,
    rows: Sequence[Mapping[str, Any]],
    differences: Sequence[dict[str, Any]],
    trainings: Sequence[Mapping[str, Any]],
) -> None:
    """Write the tables of the strategies, of their differences, and of the trainings."""
    holm = multipletests([row["p"] for row in differences], method="holm")[1]
    tests = [{**row, "p": f"{row['p']:.3g}", "p, Holm": f"{p:.3g}"} for row, p in zip(differences, holm, strict=True)]
    subjects = (
        f"{size.training} simulated development subjects a protocol in {size.folds} folds, {size.test} simulated test "
        "subjects a protocol, all of them different. Seeds: cohorts 1 to 5, trainings the number of the fold. Research "
        "use only."
    )
    stopped = "A training stops when the AUC of the fold's candidates no longer rises, and keeps its best weights."
    notes = [
        f"{subjects} CCM is in no training.",
        f"Likelihood: mean of the folds' networks, calibrated on the subjects that each left out; threshold "
        f"{THRESHOLD}. ECE: expected calibration error on the test candidates.",
        "Rates of the candidates of the bundle's detector; what it missed is not in them. 95 % intervals: DeLong for "
        f"AUC, else {METHOD}.",
        f"{stopped} 'converged' counts such trainings; the others reached the last epoch.",
    ]
    write_results(rows, study.out / "transfer", "Training strategies across field strengths", notes)
    delong = (
        "DeLong for two classifiers of the same candidates, which count as independent; 95 % intervals. p is corrected "
        f"for {len(tests)} comparisons by Holm's method."
    )
    write_results(tests, study.out / "differences", "Differences between strategies", [subjects, delong])
    rounded = [{**one, "AUC": f"{one['AUC']:.3f}"} for one in trainings]
    write_results(rounded, study.out / "trainings", "Trainings", [subjects, stopped])


def _save(found: CandidateTable, likelihoods: Mapping[str, np.ndarray], path: Path) -> None:
    columns = {"subject": found.subjects, "label": found.labels, **likelihoods}
    values = zip(*(one.tolist() for one in columns.values()), strict=True)
    write_table([dict(zip(columns, row, strict=True)) for row in values], path, columns)
