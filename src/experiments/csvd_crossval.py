"""Ten folds of the classifier and their ensemble, after Wang et al. 2023, and what each of its inputs brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from monai.data import create_cross_validation_datalist

from .classification import classification_rows, plot_classification, subject_rates
from .predictions import Predictions, read_predictions
from .sizes import Size
from .study import Item, Study
from .tables import write_results

PRESETS = ("ukbb", "oxvasc")
CLASSES = ("aSVD", "CAA", "CADASIL")
MEASURES = ("weighted AUC", "accuracy", "weighted precision", "weighted F1")
PAPER = dict(zip(MEASURES, ("0.908", "0.819", "0.864", "0.829"), strict=True))
TRUE, SHUFFLED = "folds", "shuffled"
INPUTS: dict[str, dict[str, Any]] = {
    "ensemble": {},
    "without microbleeds": {"drop_lesions": 1},
    "without age and sex": {"drop_covariates": 1},
}


def csvd_crossval(study: Study, size: Size) -> Path:
    """Train the folds, on true and on shuffled labels, and measure their ensemble; return the folder of the table.

    Of the folds of the development subjects, one is for stopping, the rest for training. The test subjects are others.
    Each fold shuffles in its own way: what one shuffling has to do with age by chance, all folds would share.
    """
    development = make_subjects(study, size.training, seed=1)
    test = everyone(make_subjects(study, size.test, seed=2))
    for fold in range(size.folds):
        for name, subjects in ((TRUE, development), (SHUFFLED, shuffle(development, fold))):
            train(study, name, fold, {**_fold(subjects, fold, size.folds), "test": test})
    names = [f"fold_{fold}" for fold in range(size.folds)]
    rows = []
    for inputs, settings in INPUTS.items():
        parser = make_parser(study, TRUE, 0, ("evaluate", "ensemble"))
        predictions = predict(study, inputs, parser, {"folds": names, **settings})
        found = {row["measure"]: row["value"] for row in classification_rows(predictions)}
        rows.append({"inputs": inputs, **{measure: found[measure] for measure in MEASURES}})
        if not settings:
            plot_classification(predictions, study.out / "classification.png")
    rows.append({"inputs": "labels shuffled in training", **control(study, size.folds)})
    rows.append({"inputs": "the paper, external test, real subjects", **PAPER})
    notes = [
        f"{size.training} simulated development subjects in {size.folds} folds and {size.test} test subjects, "
        f"protocols {' and '.join(PRESETS)}, true microbleed masks; seed 0.",
        "95 % intervals: stratified bootstrap over subjects, exact where a rate is 0 or 1. Shuffled labels: mean and "
        "range of the folds' networks, each with labels of its own shuffling. Research use only.",
    ]
    write_results(rows, study.out / "csvd-crossval", "Subtypes: mean of the folds", notes)
    return study.out


def control(study: Study, folds: int, **settings: Any) -> dict[str, str]:
    """Return mean and range over the folds of the rates of the networks that learned from shuffled labels.

    Args:
        study: has the trainings, see :func:`train`.
        folds: how many, each shuffled in its own way.
        settings: for the configs, by config id.
    """
    each = [
        predict(
            study,
            f"shuffled {fold}",
            make_parser(study, SHUFFLED, fold, ("evaluate",)),
            {"ckpt_dir": str(study.out / "weights" / SHUFFLED / f"fold_{fold}"), **settings},
        )
        for fold in range(folds)
    ]
    rates = [subject_rates(one.labels, one.probabilities) for one in (said.answered for said in each)]
    values = {measure: [float(rate[measure]) for rate in rates] for measure in MEASURES}
    return {
        name: f"{np.mean(of_folds):.3f} ({min(of_folds):.3f} to {max(of_folds):.3f})"
        for name, of_folds in values.items()
    }


def predict(study: Study, name: str, parser: ConfigParser, settings: Mapping[str, Any]) -> Predictions:
    """Return what the configs say of the test subjects, worked out unless that is done."""
    return read_predictions(evaluated(study, name, parser, settings))


def evaluated(study: Study, name: str, parser: ConfigParser, settings: Mapping[str, Any]) -> Path:
    """Return the table of what the configs say of the test subjects, worked out unless that is done."""
    folder = study.out / "predictions" / name.replace(" ", "_")
    if not (folder / "predictions.tsv").exists():
        study.say(f"measuring: {name}")
        for key, value in {**settings, "output_dir": str(folder)}.items():
            parser[key] = value
        parser.get_parsed_content("evaluating")
    return folder / "predictions.tsv"


def make_subjects(study: Study, count: int, seed: int, presets: Sequence[str] = PRESETS) -> dict[str, list[Item]]:
    """Return about ``count`` subjects in all, as many of each class and protocol, each with a scan of one protocol."""
    each = max(1, round(count / len(CLASSES) / len(presets)))
    return {
        name: [
            item
            for place, preset in enumerate(presets)
            for item in study.cohort(preset, each, 1000 * place + 10 * seed + index, phenotype=name)
        ]
        for index, name in enumerate(CLASSES)
    }


def everyone(subjects: Mapping[str, list[Item]]) -> list[Item]:
    """Return the items of all classes."""
    return [item for items in subjects.values() for item in items]


def shuffle(subjects: Mapping[str, list[Item]], seed: int) -> dict[str, list[Item]]:
    """Return the subjects with each other's classes; images of one subject have its name and lie in one folder."""
    items = everyone(subjects)
    names = [(Path(item["image"]).parent, item.get("subject")) for item in items]
    classes = dict(zip(names, (item["csvd"] for item in items), strict=True))
    drawn = np.random.default_rng(seed).permutation(list(classes.values()))
    given = dict(zip(classes, drawn.tolist(), strict=True))
    changed = [{**item, "csvd": given[name]} for item, name in zip(items, names, strict=True)]
    return {name: [item for item in changed if item["csvd"] == name] for name in subjects}


def _fold(subjects: Mapping[str, list[Item]], fold: int, folds: int) -> dict[str, list[Item]]:
    """Return the sections of a fold, which has its share of each class."""
    training = [other for other in range(folds) if other != fold]
    sections: dict[str, list[Item]] = {"training": [], "validation": []}
    for items in subjects.values():
        split = create_cross_validation_datalist(items, folds, training, fold, seed=0)
        for section, part in sections.items():
            part += split[section]
    return sections


def train(study: Study, name: str, fold: int, sections: Mapping[str, Sequence[Item]]) -> None:
    """Train on the sections of a data list, unless that is done; the weights are ``weights/<name>/fold_<fold>``."""
    study.data(f"{name}_{fold}", **sections)
    done = study.out / "weights" / name / f"fold_{fold}" / "training.done"
    if done.exists():
        return
    study.say(f"training: {name}, {fold}")
    parser = make_parser(study, name, fold)
    parser["ckpt_dir"] = parser["output_dir"] = str(done.parent)
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("training")
    done.touch()


def make_parser(study: Study, name: str, fold: int, overlays: Sequence[str] = ()) -> ConfigParser:
    """Return the configs; slices of a subject are made once for all folds."""
    parser = ConfigParser()
    parser.read_config([str(study.bundle / "configs" / f"{config}.json") for config in ("train", *overlays)])
    folders = {
        "bundle_root": str(study.bundle),
        "dataset_dir": str(study.out / "data" / f"{name}_{fold}"),
        "ckpt_dir": str(study.out / "weights" / name),
    }
    caches = {f"{part}#dataset#cache_dir": str(study.out / "cache") for part in ("train", "validate")}
    for key, value in {**folders, **caches, **study.settings}.items():
        parser[key] = value
    return parser
