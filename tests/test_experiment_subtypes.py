"""The experiment of the subtypes: from subjects to a table with what each input brings."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import small

from csvd import experiments
from csvd.engines import load_weights, save_weights
from csvd.experiments.csvd_crossval import make_parser
from csvd.experiments.predictions import Predictions
from csvd.experiments.subtypes import CLASSES, LEARNED, MEASURES, NEW, SHUFFLES, best_possible
from csvd.io import load_datalist
from csvd.phantom import PROTOCOLS

BUNDLE = Path(__file__).parents[1] / "bundles" / "csvd_classification"


def test_protocols_of_the_test_are_none_of_the_training():
    assert not {*LEARNED} & {*NEW}
    assert {*LEARNED, *NEW} <= PROTOCOLS.keys()


def small_bundle(folder, settings):
    """The configs of the bundle with weights of a small network."""
    network = make_parser(experiments.Study(folder, BUNDLE, settings), "any", 0).get_parsed_content("network")
    load_weights(network.cascade, BUNDLE / "models" / "model.pt", prefix="cascade.")
    save_weights(network, folder / "models" / "model.pt")
    (folder / "configs").symlink_to(BUNDLE / "configs")
    (folder / "models" / "detector").symlink_to(BUNDLE / "models" / "detector")
    return folder


def certain(items):
    """Say the true class of each subject."""
    labels = np.array([CLASSES.index(item["csvd"]) for item in items])
    names = [item["subject"] for item in items]
    return Predictions(names, list(CLASSES), labels, 0.7 * np.eye(3)[labels] + 0.1, np.ones(len(items), dtype=bool))


def test_who_knows_all_microbleeds_says_what_the_simulator_makes_probable(tmp_path):
    lesions = {"aSVD": ["deep", "deep", "lobar"], "CAA": ["lobar"] * 9, "CADASIL": ["lobar"]}
    items = []
    for name, regions in lesions.items():
        folder = tmp_path / name / "sub-001"
        folder.mkdir(parents=True)
        (folder / "sub-001_lesions.tsv").write_text("\n".join(["id\tregion", *(f"1\t{region}" for region in regions)]))
        who = {"csvd": name, "age": {"CADASIL": 45}.get(name, 76), "sex": "F", "preset": "ukbb", "subject": "sub-001"}
        items.append({"image": str(folder / "sub-001_swi.nii.gz"), **who})
    said = best_possible(items)
    assert said.labels.tolist() == said.chosen.tolist() == [0, 1, 2]
    assert said.probabilities[0, 1] == 0  # CAA is strictly lobar
    assert said.probabilities[1, 1] > 0.99
    np.testing.assert_allclose(said.probabilities.sum(axis=1), 1)


@pytest.mark.whole
def test_it_runs_to_its_table(small_cohort, tmp_path, monkeypatch):
    sections = ("training", "validation", "test")
    items = [item for section in sections for item in load_datalist(small_cohort / "datalist.json", section)][1:]

    def cohort(self, preset, subjects, seed, phenotype=None):
        return [
            {**item, "age": 60 + k, "sex": "F", "csvd": phenotype, "subject": f"{preset}_{seed}_{k}"}
            for k, item in enumerate(items[:subjects])
        ]

    monkeypatch.setattr(experiments.Study, "cohort", cohort)
    subtypes = importlib.import_module("csvd.experiments.subtypes")
    monkeypatch.setattr(subtypes, "best_possible", certain)  # the cohort has no tables of lesions
    finds = {"detector": {"_target_": "test_patch_detector.Darkness"}}  # so that there are some
    settings = {**small.CLASSIFIER, **finds, "train#trainer#max_epochs": 1}
    size = experiments.Size(training=3, validation=3, test=9, folds=0, settings=settings)
    said = []
    study = experiments.Study(tmp_path, small_bundle(tmp_path / "bundle", settings), settings, said.append)
    folder = experiments.subtypes(study, size)
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in (folder / "subtypes.md").read_text().splitlines()
    ]
    assert lines[2] == ["inputs", *MEASURES]
    assert [line[0] for line in lines[4:10]] == [
        "all, microbleeds as found",
        "all, true microbleeds",
        "without microbleeds",
        "without age and sex",
        "best possible: the simulator's own probabilities",
        "labels shuffled in training",
    ]
    for line in lines[4:9]:
        assert int(line[1]) + int(line[2]) == 9  # with an answer, and not applicable
    assert lines[9][3].count(" to ") == 1  # mean and range of the shufflings
    assert len([*(folder / "weights" / "shuffled").glob("fold_*/model.pt")]) == SHUFFLES
    assert (folder / "weights" / "subtypes" / "fold_0" / "model.pt").exists()
    assert (folder / "classification.png").exists()
    assert (
        "Of 3 healthy simulated subjects of ukbb, oxvasc, shk, 3 get a subtype" in (folder / "subtypes.md").read_text()
    )
    steps = len(said)
    experiments.subtypes(study, size)
    assert len(said) == steps  # nothing is done twice
