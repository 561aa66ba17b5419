"""Does the paper's knowledge distillation help, when the teacher answers the question of its student?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ..engines import load_weights
from ..io.splits import SECTIONS
from ..metrics import RATES, bootstrap_ci, froc, pooled_rates
from ..metrics.classification import auc_interval
from .candidates import CandidateTable, bundle_detector, likelihood, search
from .components import NO_KD
from .seeds import SEEDS
from .sizes import Size
from .study import CASCADE, THRESHOLDS, Item, Study, Variant
from .tables import INTERVAL, NOTE, plot_froc, rates_row, write_results
from .tables import RATES as COLUMNS

PRESETS = ("ukbb", "oxvasc")
LESIONS = 25
"""Median of the microbleeds of a subject to learn from, if there are any; those to test on have as many as patients."""
PATCH_AUC = "patch AUC"
WITHOUT, WITH = "student", "student with KD"
STUDENTS: Mapping[str, tuple[tuple[str, ...], Sequence[str]]] = {  # overlays and stages
    WITHOUT: ((NO_KD, "candidate_auc"), (NO_KD,)),
    WITH: (("candidate_auc",), CASCADE[1:]),
}
MINUS = "\N{MINUS SIGN}"
"""Not a hyphen, after which a spreadsheet would look for a formula."""
TO_THE_END = {"patience": 10**6}
"""So that all students have as many updates."""
AS_TEACHER = {"network_def#discriminator": "@teacher#network_def"}


@dataclass(frozen=True)
class Trained:
    """A student on test subjects: lesion counts (S, 4) at its threshold, probability (N,) of each candidate."""

    counts: torch.Tensor
    probability: np.ndarray


def student(name: str, seed: int) -> tuple[Variant, Sequence[str]]:
    """Return configs and stages of one of :data:`STUDENTS`, the same for all experiments, so that it trains once."""
    overlays, stages = STUDENTS[name]
    return Variant(f"{name} {seed}".replace(" ", "_"), overlays, {"seed": seed, **TO_THE_END}), stages


def distillation(study: Study, size: Size, match: str = "overlap") -> Path:
    """Simulate two protocols, and compare students with and without a teacher, see :func:`compare_students`."""
    many: dict[str, dict[str, float]] = {"training": {"lesions": LESIONS}}
    sections = {
        name: [
            item
            for preset in PRESETS
            for item in study.cohort(preset, getattr(size, name) // len(PRESETS), seed, **many.get(name, {}))
        ]
        for seed, name in enumerate(SECTIONS, start=1)
    }
    return compare_students(study, sections, match)


def compare_students(study: Study, sections: Mapping[str, Sequence[Item]], match: str = "overlap") -> Path:
    """Train students with and without a teacher with three seeds; return the folder of the table.

    All learn from the candidates of the bundle's detector, searched once, in as many updates. Each seed has a teacher
    of its own, which learns from the same candidates whether there is a microbleed at the centre.

    Args:
        study: folder and settings.
        sections: items under "training", "validation" and "test", with absolute paths.
        match: "overlap" or "distance", the rule of the table.
    """
    data = study.data("given", **sections)
    detector = bundle_detector(study)
    found = search(study, data, detector, Variant("candidates"))
    students: dict[str, list[Trained]] = {name: [] for name in STUDENTS}
    rows: list[dict[str, Any]] = []
    panels: dict[str, dict[str, Any]] = {}
    for seed in SEEDS:
        for name in STUDENTS:
            variant, stages = student(name, seed)
            weights = study.train(data, stages, variant, detector)
            index, counts = study.chosen(data, weights, variant, match)
            probability = probability_of(study, data, weights, variant, "student.pt", found)
            students[name].append(Trained(counts[:, index], probability))
            rows.append({**_row(name, seed, weights, "auc"), "threshold": round(THRESHOLDS[index], 4)})
            rows[-1] |= {**rates_row(counts[:, index], match), PATCH_AUC: show_auc(found, probability)}
            panels.setdefault(name, {})[f"seed {seed}"] = froc(counts, THRESHOLDS, match)
            if name == WITH:
                teacher = Variant("teacher", settings=AS_TEACHER)
                probability = probability_of(study, data, weights, teacher, "teacher.pt", found)
                rows.append(
                    _row("its teacher", seed, weights, "teacher_auc") | {PATCH_AUC: show_auc(found, probability)}
                )
    notes = [f"{subjects_of(sections)}. {_updates(study, data, detector)}", *_notes(match)]
    write_results([*rows, *summary(students, found)], study.out / "distillation", "Distillation", notes)
    plot_froc(panels, study.out / "froc_distillation.png")
    return study.out


def probability_of(
    study: Study, data: Path, weights: Path, variant: Variant, file: str, candidates: CandidateTable
) -> np.ndarray:
    """Return the probability (N,) of a microbleed in candidates, by the discriminator whose weights a file has."""
    network = study.parser(data, weights, variant, ("evaluate_paper",)).get_parsed_content("network")
    load_weights(network.discriminator, weights / file)
    return likelihood(network, candidates)


def show_auc(found: CandidateTable, probability: np.ndarray) -> str:
    """Return the area under the ROC curve of the candidates with DeLong's interval, as tables show it."""
    area = auc_interval(found.labels == 1, probability)
    return INTERVAL.format(value=area.value, low=area.low, high=area.high)


def logged(folder: Path, tag: str) -> dict[int, float]:
    """Return a number that a training wrote to TensorBoard's log after each epoch, by epoch."""
    events = EventAccumulator(str(folder)).Reload().Scalars(tag)
    return {event.step: event.value for event in events}  # the last, where an epoch was begun again


def best_epoch(folder: Path, tag: str) -> tuple[int, dict[str, str]]:
    """Return after which epoch the AUC of the validation candidates was highest, and columns of the training.

    Its minutes are the median of an epoch times the epochs, so that it may have been interrupted.
    """
    areas = logged(folder, tag)
    ends = [event.wall_time for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]
    best, epochs = max(areas, key=areas.__getitem__), max(areas)
    minutes = epochs * float(np.median(np.diff(ends))) / 60 if len(ends) > 1 else float("nan")
    return best, {"best epoch": f"{best} of {epochs}", "minutes": f"{minutes:.1f}"}


def subjects_of(sections: Mapping[str, Sequence[Item]]) -> str:
    """Say how many subjects there are."""
    return f"{', '.join(f'{len(items)} {section}' for section, items in sections.items())} subjects, simulated"


def summary(students: Mapping[str, Sequence[Trained]], found: CandidateTable) -> list[dict[str, str]]:
    """Return mean and standard deviation over seeds of each student, and of their difference with its interval."""
    rates = rates_of(students, found)
    subjects = next(iter(students.values()))[0].counts.shape[0]
    each = rates(torch.ones(1, subjects, dtype=torch.float64))[0]  # (students, seeds, rates)
    difference = each[1] - each[0]
    low, high = bootstrap_ci(
        torch.eye(subjects, dtype=torch.float64), lambda drawn: rates(drawn.sum(dim=1)).mean(dim=2).diff(dim=1)[:, 0]
    )
    columns = [*COLUMNS.values(), PATCH_AUC]
    rows = [
        {"student": name, "seed": "mean (standard deviation)"}
        | {
            column: f"{mean:.3f} ({spread:.3f})"
            for column, mean, spread in zip(columns, *_moments(values), strict=True)
        }
        for name, values in zip(students, each, strict=True)
    ]
    cells = zip(columns, *_moments(difference), low.tolist(), high.tolist(), strict=True)
    return [
        *rows,
        {"student": "difference", "seed": "mean (standard deviation) [interval]"}
        | {
            column: f"{mean:.3f} ({sd:.3f}) [{first:.3f}, {last:.3f}]".replace("-", MINUS)
            for column, mean, sd, first, last in cells
        },
    ]


def rates_of(
    students: Mapping[str, Sequence[Trained]], found: CandidateTable
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what maps how often each subject counts, (n, S), to the pooled rates and the AUC, (n, students, seeds, 5).

    The rates are those of :data:`csvd.metrics.RATES`. The AUC is that of the candidates of all subjects together.
    """
    counts = torch.stack([torch.stack([one.counts for one in group]) for group in students.values()]).double()
    subjects = counts.shape[2]
    members = np.eye(subjects)[found.subjects]  # (N, S)
    positive = found.labels == 1
    wins = np.stack(
        [[_wins(one.probability, positive, members) for one in group] for group in students.values()]
    )  # (students, seeds, S, S)
    pairs = members[positive].sum(axis=0)[:, None] * members[~positive].sum(axis=0)

    def rates(often: torch.Tensor) -> torch.Tensor:
        totals = torch.einsum("ns,aksc->nakc", often, counts)
        pooled = pooled_rates(totals[..., None, :])
        pooled["fps_per_subject"] = pooled["fps_per_subject"] / often.sum(dim=1)[:, None, None]
        won = torch.einsum("ns,akst,nt->nak", often, torch.from_numpy(wins), often)
        area = won / torch.einsum("ns,st,nt->n", often, torch.from_numpy(pairs), often)[:, None, None]
        return torch.stack([*(pooled[rate] for rate in RATES), area], dim=-1)

    return rates


def _wins(probability: np.ndarray, positive: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return how many pairs of a microbleed of one subject and another candidate of the other are in order, (S, S)."""
    ahead, behind = probability[positive], probability[~positive]
    ordered = (ahead[:, None] > behind) + 0.5 * (ahead[:, None] == behind)
    return members[positive].T @ ordered @ members[~positive]


def _moments(values: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation over seeds of values (seeds, rates)."""
    return values.mean(dim=0).tolist(), values.std(dim=0).tolist()


def _row(name: str, seed: int, weights: Path, tag: str) -> dict[str, Any]:
    """Return the first columns of a row."""
    return {"student": name, "seed": str(seed), **best_epoch(weights, tag)[1]}


def _updates(study: Study, data: Path, detector: Path) -> str:
    """Say how often the weights of each student are updated."""
    parser = study.parser(data, detector, student(WITHOUT, 0)[0])
    samples, batch, epochs = (
        parser.get_parsed_content(f"student#{name}")
        for name in ("sampler#num_samples", "dataloader#batch_size", "trainer#max_epochs")
    )
    return (
        f"{epochs * -(-samples // batch)} updates of a batch of {batch} candidates for each student and each teacher."
    )


def _notes(match: str) -> list[str]:
    return [
        "A teacher learns from the candidates of its student, and from the same labels. Weights: those of the highest "
        "AUC of validation candidates. Minutes: of the training. Patch AUC: of the candidates of test subjects, with "
        "DeLong's interval.",
        "Difference: with minus without KD, mean and standard deviation over seeds; interval: bootstrap over test "
        "subjects of that mean, the same subjects for both.",
        NOTE.format(match=match, seeds=f"{SEEDS[0]} to {SEEDS[-1]}"),
    ]
