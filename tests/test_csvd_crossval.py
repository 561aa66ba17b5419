"""Ten folds of the classifier: who is in which, and that the experiment runs from subjects to table."""

import json
from collections import Counter
from pathlib import Path

import pytest
import small

from csvd import experiments
from csvd.experiments.csvd_crossval import CLASSES, _fold, shuffle
from csvd.io import load_datalist

ROOT = Path(__file__).parents[1] / "bundles"


@pytest.fixture
def subjects():
    return {name: [{"image": f"{name}_{k}/mag.nii", "csvd": name} for k in range(20)] for name in CLASSES}


def test_each_fold_has_its_share_of_each_class(subjects):
    tested = []
    for fold in range(10):
        sections = _fold(subjects, fold, 10)
        training, validation = ({item["image"] for item in sections[name]} for name in ("training", "validation"))
        assert not training & validation
        assert Counter(item["csvd"] for item in sections["validation"]) == dict.fromkeys(CLASSES, 2)
        tested += sorted(validation)
    assert sorted(tested) == sorted(item["image"] for items in subjects.values() for item in items)


def test_shuffled_labels_say_nothing_and_keep_their_numbers(subjects):
    shuffled = shuffle(subjects, seed=0)
    assert {name: len(items) for name, items in shuffled.items()} == dict.fromkeys(CLASSES, 20)
    right = sum(item["image"].startswith(f"{name}_") for name, items in shuffled.items() for item in items)
    assert 10 < right < 30
    assert shuffle(subjects, seed=1) != shuffled


def test_the_images_of_a_subject_keep_one_class_when_labels_are_shuffled(subjects):
    two = {
        name: [{**item, "image": f"{item['image']}{k}"} for item in items for k in (1, 2)]
        for name, items in subjects.items()
    }
    shuffled = shuffle(two, seed=0)
    assert {name: len(items) for name, items in shuffled.items()} == dict.fromkeys(CLASSES, 40)
    given = {(item["image"].split("/")[0], name) for name, items in shuffled.items() for item in items}
    assert len(given) == 60


@pytest.mark.whole
def test_folds_run_to_their_table(small_cohort, tmp_path, monkeypatch):
    sections = ("training", "validation", "test")
    items = [item for section in sections for item in load_datalist(small_cohort / "datalist.json", section)]
    items = items[1:]  # those with a microbleed

    def cohort(self, preset, subjects, seed, phenotype=None):
        ages = {"age": 50 + seed % 1000, "sex": "F", "csvd": phenotype}
        return [{**item, **ages, "subject": f"{preset}_{seed}_{k}"} for k, item in enumerate(items[:subjects])]

    monkeypatch.setattr(experiments.Study, "cohort", cohort)
    settings = {**small.CLASSIFIER, "train#trainer#max_epochs": 1}
    size = experiments.Size(training=6, validation=0, test=6, folds=2, settings=settings)
    said = []
    study = experiments.Study(tmp_path, ROOT / "csvd_classification", settings, said.append)
    folder = experiments.csvd_crossval(study, size)
    table = (folder / "csvd-crossval.md").read_text()
    assert "simulated" in table
    assert [line.split("|")[1].strip() for line in table.splitlines()[4:9]] == [
        "ensemble",
        "without microbleeds",
        "without age and sex",
        "labels shuffled in training",
        "the paper, external test, real subjects",
    ]
    assert (folder / "classification.png").exists()
    lists = [json.loads(path.read_text()) for path in sorted((tmp_path / "data").glob("*/datalist.json"))]
    assert len(lists) == 4
    assert {len(one["training"]) for one in lists} == {3}
    steps = len(said)
    experiments.csvd_crossval(study, size)
    assert len(said) == steps  # nothing is done twice
