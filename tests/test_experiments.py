"""Experiments: what they choose, what they write, and that each runs from cohort to table."""

import csv

import pytest
import torch

from csvd import experiments
from csvd.data import load_datalist
from csvd.detection import find_bundle
from csvd.experiments.crossval import _fold
from csvd.experiments.tables import chosen_threshold, write_table

TINY = experiments.Size(
    training=2,
    validation=1,
    test=1,
    folds=2,
    settings={
        **experiments.QUICK.settings,
        "train#trainer#max_epochs": 2,
        "val_interval": 2,
        "student#sampler#num_samples": 32,
        "network_def#detector#features": 2,
        "network_def#discriminator#features": 2,
        "candidate_threshold": 0.1,
    },
)


def counts(rows):
    """Counts of one subject with ten lesions: found and false positives at each threshold."""
    return torch.tensor([[(10, found, found + false, false) for found, false in rows]])


def test_threshold_is_chosen_by_the_best_f1_or_by_the_sensitivity():
    thresholds = [0.1, 0.4, 0.6, 0.9]
    subject = counts([(10, 90), (10, 20), (8, 1), (2, 0)])
    assert chosen_threshold(subject, thresholds) == 2
    assert chosen_threshold(subject, thresholds, "tpr_95") == 1
    assert chosen_threshold(counts([(7, 90), (7, 20), (5, 1), (2, 0)]), thresholds, "tpr_95") == 1


def test_table_is_written_for_people_and_for_programs(tmp_path):
    write_table([{"step": "detection", "TPR": "0.9"}], tmp_path / "table", "A title", ["simulated"])
    with (tmp_path / "table.tsv").open() as file:
        assert list(csv.DictReader(file, delimiter="\t")) == [{"step": "detection", "TPR": "0.9"}]
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("# A title\n\n| step | TPR |\n| --- | --- |\n| detection | 0.9 |\n")
    assert text.endswith("- simulated\n")


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_part_the_subjects(tmp_path, folds):
    study = experiments.Study(tmp_path, tmp_path, {})
    items = [{"image": f"{tmp_path}/{k}.nii.gz"} for k in range(10)]
    tested = []
    for fold in range(folds):
        data = _fold(study, "ukbb", items, fold, folds)
        training, validation, test = (
            {item["image"] for item in load_datalist(data / "datalist.json", section)}
            for section in ("training", "validation", "test")
        )
        assert not training & (validation | test)
        assert folds == 2 or not validation & test
        tested += sorted(test)
    assert sorted(tested) == sorted(item["image"] for item in items)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ablation", "crossval", "generalize", "components"])
def test_experiment_runs_to_its_table(small_cohort, tmp_path, monkeypatch, name):
    sections = ("training", "validation", "test")
    items = [item for section in sections for item in load_datalist(small_cohort / "datalist.json", section)]

    def cohort(self, preset, subjects, seed):
        return items[1:][:subjects]  # the first has no lesion

    monkeypatch.setattr(experiments.Study, "cohort", cohort)
    said = []
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), TINY.settings, said.append)
    folder = getattr(experiments, name)(study, TINY)
    assert (folder / f"{name}.tsv").exists()
    assert "simulated" in (folder / f"{name}.md").read_text()
    steps = len(said)
    getattr(experiments, name)(study, TINY)
    assert len(said) == steps  # nothing is done twice
