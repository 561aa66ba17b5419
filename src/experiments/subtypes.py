"""The classifier of subtypes, trained with microbleeds as they are found, on protocols that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..metrics.exact import exact_share
from .classification import BY_CHANCE, ERROR, classification_rows, plot_classification
from .csvd_crossval import SHUFFLED, control, evaluated, everyone, make_parser, make_subjects, predict, shuffle, train
from .predictions import Predictions
from .sizes import Size
from .study import Study
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
    rows = [_row(study, name, trained, settings) for name, settings in INPUTS.items()]
    chance = control(study, SHUFFLES, found_lesions=1)
    rows.append({"inputs": "labels shuffled in training", **{name: chance.get(name, "") for name in MEASURES}})
    rows.append(_row(study, "weights of the bundle, microbleeds as found", study.bundle / "models"))
    plot_classification(_said(study, FOUND, trained), study.out / "classification.png")
    notes = [
        f"Simulated: {size.training} training and {size.validation} validation subjects of the preset "
        f"{' and '.join(LEARNED)}, an image of each contrast, {size.test} test subjects of {', '.join(NEW)}, which the "
        "training did not have; seed 0. Half of the training has the microbleeds that are found in use.",
        _healthy(study, max(1, size.test // 3 // len(NEW))),
        "Subjects in whom no microbleed is found are not applicable, and in none of the "
        "rates; `of all` of each table counts them (csvd evaluate classification). The weights of the bundle had other "
        "subjects of ukbb and oxvasc in their training. 95 % intervals: stratified bootstrap over subjects; shuffled "
        f"labels: mean and range of {SHUFFLES} trainings, each with a shuffling of its own. Research use only.",
    ]
    write_results(rows, study.out / "subtypes", "Subtypes: protocols that the training did not have", notes)
    return study.out


def _row(study: Study, inputs: str, weights: Path, settings: Mapping[str, Any] = {}) -> dict[str, str]:
    """Return the row of what weights say of the test subjects when they get these inputs."""
    found = {row["measure"]: row for row in classification_rows(_said(study, inputs, weights, settings))}
    values = {name: found[name]["of all" if name == "not applicable" else "value"] for name in MEASURES}
    return {"inputs": inputs, **values}


def _healthy(study: Study, each: int) -> str:
    """Return how many of as many new healthy subjects of each protocol get a subtype, with its exact interval."""
    items = [
        {name: value for name, value in item.items() if name != "csvd"}
        for place, preset in enumerate(NEW)
        for item in study.cohort(preset, each, 1000 * place + 63, phenotype="healthy")
    ]
    study.data("healthy_0", test=items)
    parser = make_parser(study, "healthy", 0, ("evaluate",))
    parser["validate#dataset#data"] = {"_target_": "csvd.io.load_datalist", "path": "@datalist", "section": "test"}
    settings = {"ckpt_dir": str(study.bundle / "models"), "found_lesions": 1}
    reasons = [row["reason"] for row in read_columns(evaluated(study, "healthy", parser, settings), "reason")]
    named = reasons.count("")
    return (
        f"Of {len(items)} healthy simulated subjects of {', '.join(NEW)}, {named} get a subtype from the weights of "
        f"the bundle, because a microbleed is found: {exact_share(named, len(items))}, exact interval."
    )


def _said(study: Study, inputs: str, weights: Path, settings: Mapping[str, Any] = {}) -> Predictions:
    parser = make_parser(study, TRUE, 0, ("evaluate",))
    return predict(study, inputs, parser, {"ckpt_dir": str(weights), "found_lesions": 1, **settings})
