"""The classifier of subtypes, trained with microbleeds as they are found, on protocols that it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from ..io.tables import read_table
from ..metrics.exact import exact_share
from ..phantom import PROTOCOLS, phenotype_log_likelihood
from ..transforms import no_subtype
from .classification import BY_CHANCE, ERROR, classification_rows, plot_classification
from .csvd_crossval import (
    CLASSES,
    SHUFFLED,
    control,
    evaluated,
    everyone,
    make_parser,
    make_subjects,
    predict,
    shuffle,
    train,
)
from .predictions import Predictions
from .sizes import Size
from .study import Item, Study
from .subject_groups import read_columns
from .tables import write_results

LEARNED, NEW = ("random",), ("ukbb", "oxvasc", "shk")
"""Protocols of the training and validation subjects, and of the test subjects."""
TRUE, PARTS = "subtypes", ("training", "validation")
SHUFFLES = 3
"""Trainings on shuffled labels: by chance, one shuffling has something to do with age."""
MEASURES = ("subjects", "not applicable", "weighted AUC", "accuracy", "weighted F1", ERROR, BY_CHANCE)
FOUND = "all, microbleeds as found"
INPUTS: Mapping[str, Mapping[str, Any]] = {
    FOUND: {},
    "all, true microbleeds": {"found_lesions": 0},
    "without microbleeds": {"drop_lesions": 1},
    "without age and sex": {"drop_covariates": 1},
}


def subtypes(study: Study, size: Size) -> Path:
    """Train on true and on shuffled labels, and measure what each input brings; return the folder of the table.

    The weights are ``weights/subtypes/fold_0/model.pt`` in it.
    """
    parts = {name: make_subjects(study, getattr(size, name), seed, LEARNED) for seed, name in enumerate(PARTS, start=4)}
    test = everyone(make_subjects(study, size.test, 6, NEW))
    train(study, TRUE, 0, {**{name: everyone(subjects) for name, subjects in parts.items()}, "test": test})
    for fold in range(SHUFFLES):
        shuffled = {name: everyone(shuffle(subjects, fold)) for name, subjects in parts.items()}
        train(study, SHUFFLED, fold, {**shuffled, "test": test})
    trained = study.out / "weights" / TRUE / "fold_0"
    rows = [_row(name, _said(study, name, trained, settings)) for name, settings in INPUTS.items()]
    rows.append(_row("best possible: the simulator's own probabilities", best_possible(test)))
    chance = control(study, SHUFFLES, found_lesions=1)
    rows.append({"inputs": "labels shuffled in training", **{name: chance.get(name, "") for name in MEASURES}})
    plot_classification(_said(study, FOUND, trained), study.out / "classification.png")
    notes = [
        f"Simulated: {size.training} training and {size.validation} validation subjects of the preset "
        f"{' and '.join(LEARNED)}, an image of each contrast, {size.test} test subjects of {', '.join(NEW)}, which the "
        "training did not have; seed 0. Half of the training has the microbleeds that are found in use.",
        _healthy(study, max(1, size.test // 3 // len(NEW)), trained),
        "Subjects in whom no microbleed, or only uncertain ones, are found are not applicable, and in none of the "
        "rates; `of all` of each table counts them (csvd evaluate classification). The best possible is what someone "
        "says who knows how subjects are drawn, and all of their microbleeds. 95 % intervals: stratified bootstrap "
        f"over subjects; shuffled labels: mean and range of {SHUFFLES} trainings, each with a shuffling of its own. "
        "Research use only.",
    ]
    write_results(rows, study.out / "subtypes", "Subtypes: protocols that the training did not have", notes)
    return study.out


def best_possible(items: Sequence[Item]) -> Predictions:
    """Return what someone says of simulated subjects who knows how they were drawn, and all of their microbleeds.

    Each subject's probabilities are those of the classes given its age, its sex, and the number and the regions of its
    true microbleeds, if all classes are as frequent.
    """
    odds = []
    for item in items:
        folder = Path(item["image"]).parent
        rows = read_table(folder / f"{folder.name}_lesions.tsv")
        seen = PROTOCOLS[item["preset"]].lesions, item["age"], item["sex"], Counter(row["region"] for row in rows)
        odds.append([phenotype_log_likelihood(name, *seen) for name in CLASSES])
    names = [str(item.get("subject", "")) for item in items]
    labels = np.array([CLASSES.index(item["csvd"]) for item in items])
    return Predictions(names, list(CLASSES), labels, softmax(odds, axis=1), np.ones(len(items), dtype=bool))


def _row(inputs: str, predictions: Predictions) -> dict[str, str]:
    """Return the row of what was said of the test subjects from these inputs."""
    found = {row["measure"]: row for row in classification_rows(predictions)}
    values = {name: found[name]["of all" if name == "not applicable" else "value"] for name in MEASURES}
    return {"inputs": inputs, **values}


def _healthy(study: Study, each: int, weights: Path) -> str:
    """Return how many of as many new healthy subjects of each protocol get a subtype, with its exact interval."""
    items = [
        {name: value for name, value in item.items() if name != "csvd"}
        for place, preset in enumerate(NEW)
        for item in study.cohort(preset, each, 1000 * place + 63, phenotype="healthy")
    ]
    study.data("healthy_0", test=items)
    parser = make_parser(study, "healthy", 0, ("evaluate",))
    parser["validate#dataset#data"] = {"_target_": "csvd.io.load_datalist", "path": "@datalist", "section": "test"}
    settings = {"ckpt_dir": str(weights), "found_lesions": 1}
    reasons = [row["reason"] for row in read_columns(evaluated(study, "healthy", parser, settings), "reason")]
    none, named = reasons.count(no_subtype(0)), reasons.count("")
    return (
        f"Of {len(items)} healthy simulated subjects of {', '.join(NEW)}, {named} get a subtype: "
        f"{exact_share(named, len(items))}, exact interval. In {none} no microbleed is found, in "
        f"{len(items) - none - named} only uncertain ones."
    )


def _said(study: Study, inputs: str, weights: Path, settings: Mapping[str, Any] = {}) -> Predictions:
    parser = make_parser(study, TRUE, 0, ("evaluate",))
    return predict(study, inputs, parser, {"ckpt_dir": str(weights), "found_lesions": 1, **settings})
