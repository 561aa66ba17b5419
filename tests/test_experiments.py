"""Experiments: what they choose, what they write, and that each runs from cohort to table.

The whole runs are of ``make test-all``. In ``make test``, one runs as the documents say, see ``test_docs.py``; the
tables of the others are tested on stored counts, see ``test_experiment_tables.py``.
"""

import csv
from dataclasses import replace

import pytest
import small
import torch
from monai.transforms import Compose

from csvd import experiments
from csvd.bundles import find_bundle
from csvd.experiments.components import VARIANTS
from csvd.experiments.crossval import _fold
from csvd.experiments.discriminators import UNTIL_CONVERGED
from csvd.experiments.distillation import WITH, student
from csvd.experiments.leave_out import FAMILIES
from csvd.experiments.study import THRESHOLDS, Variant
from csvd.experiments.tables import chosen_threshold, write_results
from csvd.io import load_datalist
from csvd.io.splits import SECTIONS

FEW_CANDIDATES = {"patch_size": [8, 8, 8], "student#dataset#patch_size": [12, 12, 10], "candidate_threshold": 0.05}
OWN_DETECTOR = {key: value for key, value in small.EXPERIMENT.settings.items() if not key.startswith("network_def")}


def counts(rows):
    """Counts of one subject with ten lesions: found and false positives at each threshold."""
    return torch.tensor([[(10, found, found + false, false) for found, false in rows]])


@pytest.mark.parametrize(
    ("variant", "there", "gone"),
    [
        ("without FRST", ["CropForegroundd"], ["FastRadialSymmetryd", "ConcatItemsd"]),
        ("without N4", ["BrainMaskd", "InvertIntensityd"], ["N4BiasCorrectiond"]),
        ("with vessel inpainting", ["CropForegroundd", "VesselMaskd", "InpaintMaskd", "FastRadialSymmetryd"], []),
    ],
)
def test_variant_changes_what_it_is_called(tmp_path, variant, there, gone):
    parser = experiments.Study(tmp_path, find_bundle("cmb_detection"), {}).parser(tmp_path, tmp_path, VARIANTS[variant])
    transforms = Compose(parser.get_parsed_content("image_transforms")).flatten().transforms
    names = [type(transform).__name__ for transform in transforms]
    assert set(there) <= set(names)
    assert not set(gone) & set(names)


def test_isotropic_pooling_goes_with_its_crop(tmp_path):
    variant = VARIANTS["isotropic pooling"]
    parser = experiments.Study(tmp_path, find_bundle("cmb_detection"), {}).parser(tmp_path, tmp_path, variant)
    assert parser.get_parsed_content("transforms#crop").cropper.k_divisible == [4, 4, 4]


def test_discriminators_of_other_papers_may_train_four_times_as_long(tmp_path):
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), {"train#trainer#max_epochs": 3})
    variants = {"student": student(WITH, 1)[0], "five-block": Variant("five-block", ("five_block",), UNTIL_CONVERGED)}
    parsers = {name: study.parser(tmp_path, tmp_path, variant) for name, variant in variants.items()}
    epochs = {name: parser.get_parsed_content("student#trainer#max_epochs") for name, parser in parsers.items()}
    assert epochs == {"student": 3, "five-block": 12}
    assert parsers["student"].get_parsed_content("seed") == 1


def test_threshold_is_chosen_by_the_best_f1_or_by_the_sensitivity():
    thresholds = [0.1, 0.4, 0.6, 0.9]
    subject = counts([(10, 90), (10, 20), (8, 1), (2, 0)])
    assert chosen_threshold(subject, thresholds) == 2
    assert chosen_threshold(subject, thresholds, "tpr_95") == 1
    assert chosen_threshold(counts([(7, 90), (7, 20), (5, 1), (2, 0)]), thresholds, "tpr_95") == 1


def test_threshold_is_chosen_by_distance_whatever_the_rule_of_the_table(tmp_path, monkeypatch):
    whole_brain = [(10, 0)] + [(0, 0)] * (len(THRESHOLDS) - 1)
    found = {"overlap": counts(whole_brain), "distance": counts([*whole_brain[1:], (6, 1)])}
    monkeypatch.setattr(experiments.Study, "measure", lambda *_: found)
    study = experiments.Study(tmp_path, tmp_path, {})
    index, test = study.chosen(tmp_path, tmp_path, Variant("a"), "overlap")
    assert index == len(THRESHOLDS) - 1
    assert torch.equal(test, found["overlap"])


def test_table_is_written_for_people_and_for_programs(tmp_path):
    write_results([{"step": "detection", "TPR": "0.9"}], tmp_path / "table", "A title", ["simulated"])
    with (tmp_path / "table.tsv").open() as file:
        assert list(csv.DictReader(file, delimiter="\t")) == [{"step": "detection", "TPR": "0.9"}]
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("# A title\n\n| step | TPR |\n| --- | --- |\n| detection | 0.9 |\n")
    assert text.endswith("- simulated\n")


@pytest.mark.parametrize("folds", [3, 5])
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
        assert not validation & test
        tested += sorted(test)
    assert sorted(tested) == sorted(item["image"] for item in items)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("ablation", ["froc", "tsne"]),
        ("crossval", ["froc"]),
        ("generalize", ["froc"]),
        ("components", ["froc"]),
        ("transfer", ["roc", "removed"]),
        ("seeds", ["froc"]),
        ("distillation", ["froc_distillation"]),
    ],
)
def test_experiment_runs_to_its_table(small_cohort, tmp_path, monkeypatch, name, pictures):
    sections = ("training", "validation", "test")
    items = [item for section in sections for item in load_datalist(small_cohort / "datalist.json", section)]

    def cohort(self, preset, subjects, seed, **how):
        return items[1:][:subjects]  # the first has no lesion

    monkeypatch.setattr(experiments.Study, "cohort", cohort)
    said = []
    size = small.EXPERIMENT
    if name == "distillation":
        size = replace(small.EXPERIMENT, training=4, validation=2, test=2, settings=OWN_DETECTOR)
    elif name == "transfer":
        settings = {**OWN_DETECTOR, **FEW_CANDIDATES, "epochs": 2, "patience": 1}
        size = replace(small.EXPERIMENT, folds=2, settings=settings)
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), size.settings, said.append)
    folder = getattr(experiments, name)(study, size)
    assert (folder / f"{name}.tsv").exists()
    assert all((folder / f"{picture}.png").exists() for picture in pictures)
    assert "simulated" in (folder / f"{name}.md").read_text()
    steps = len(said)
    getattr(experiments, name)(study, size)
    assert len(said) == steps  # nothing is done twice


@pytest.mark.whole
def test_a_family_that_was_left_out_is_tested_alone(small_cohort, tmp_path, monkeypatch):
    sections = [load_datalist(small_cohort / "datalist.json", name) for name in SECTIONS]
    tested = {item["image"] for item in sections[2]}
    monkeypatch.setattr(experiments.Study, "cohort", lambda self, preset, n, seed, **how: sections[seed - 1])
    for name in list(FAMILIES):
        monkeypatch.delitem(FAMILIES, name)
    monkeypatch.setitem(FAMILIES, "none", lambda item: False)
    monkeypatch.setitem(FAMILIES, "all test", lambda item: item["image"] in tested)
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), small.EXPERIMENT.settings)
    folder = experiments.leave_out(study, small.EXPERIMENT)
    with (folder / "leave-out.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["test scans"], row["trained on"]) for row in rows] == [
        ("all", "all"),
        ("none", ""),
        ("all test", "all others"),
        ("all test", "all"),
    ]
    assert (folder / "froc.png").exists()


@pytest.mark.whole
def test_discriminators_stand_in_one_table(small_cohort, tmp_path):
    sections = {name: load_datalist(small_cohort / "datalist.json", name) for name in SECTIONS}
    own_patches = {key: value for key, value in OWN_DETECTOR.items() if not key.endswith("_size")}
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), own_patches)
    folder = experiments.discriminators(study, sections, [{"discriminator": "another", "parameters": 1}])
    with (folder / "discriminators.tsv").open() as file:
        rows = {row["discriminator"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(rows) == ["student", "student with KD", "teacher", "residual", "five-block", "another"]
    assert int(rows["residual"]["parameters"]) == 898274
    assert all(row["patch AUC"] and row["TPR"] for name, row in rows.items() if name != "another")
    assert all((folder / f"{picture}.png").exists() for picture in ("froc", "confusion", "accuracy"))
