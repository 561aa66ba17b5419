"""The experiment of four sequences and three residual networks: what is counted, and that it runs and goes on."""

import importlib

import pytest
import torch

from csvd import experiments
from csvd.bundles import find_bundle
from csvd.experiments import FULL, QUICK, Size, Study
from csvd.io import load_datalist
from csvd.phantom import Series

module = importlib.import_module("csvd.experiments.sequences")
CLASSES = module.CLASSES


def answers_of(*votes, labels, subjects):
    """What is known of series whose slices are surely of these classes."""
    slices = torch.nn.functional.one_hot(torch.tensor(votes), len(CLASSES)).movedim(-1, 1).float()
    return module.Tested(slices, torch.tensor(labels), list(subjects))


def coloured(name, seed, index=0):
    """A series of 12 slices; each sequence has a square of a width of its own."""
    image = torch.rand(20, 20, 12, generator=torch.Generator().manual_seed(100 * seed + index))
    image[4:16, 4 : 8 + 3 * CLASSES.index(name)] += 4
    return Series(name, name, image, torch.diag(torch.tensor([8.0, 8.0, 5.0, 1.0], dtype=torch.float64)))


def test_most_slices_name_a_series():
    found = answers_of([0, 0, 1], [2, 3, 3], labels=[0, 2], subjects="ab")
    assert found.series.tolist() == [0, 3]
    row = module.accuracy_row(found)
    assert (row["series"], row["slices"]) == (2, 6)
    assert row["accuracy of slices"].startswith("0.500 [0.333, 0.667]")
    assert row["accuracy of series"].startswith("0.500 [0.000, 1.000]")


def test_interval_is_exact_where_all_are_right():
    row = module.accuracy_row(answers_of([0, 0], [1, 1], labels=[0, 1], subjects="aa"))
    assert row["accuracy of series"] == "1.000 [0.025, 1.000]"  # of one subject


def test_confusion_counts_slices_and_series():
    rows = module.confusion_rows("resnet18", answers_of([0, 0, 1], [2, 3, 3], labels=[0, 2], subjects="ab"))
    found = {(row["of"], row["true"]): [row[name] for name in CLASSES] for row in rows}
    assert found["slices", "T1"] == [2, 1, 0, 0]
    assert found["series", "T2"] == [0, 0, 0, 1]
    assert found["slices", "DWI"] == [0, 0, 0, 0]


def test_sizes_are_there_for_the_command():
    assert FULL["sequences"].training == 42  # of the paper's 52 people, 10 for validation
    assert QUICK["sequences"].test < FULL["sequences"].test


@pytest.mark.slow
def test_experiment_runs_to_its_table_and_does_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "simulate_series", coloured)
    monkeypatch.setattr(module, "PAPER", {"resnet18": 0.79})
    told = []
    settings = {"epochs": 1, "pixels": 32, "batch_size": 4}
    study = Study(tmp_path, find_bundle("cmb_detection"), settings, told.append)
    folder = experiments.sequences(study, Size(2, 1, 1, 0))
    text = (folder / "sequences.md").read_text()
    assert "| resnet18 | 1 of 1 | 4 | 48 |" in text
    assert "simulated" in text
    assert "0.79" in text
    assert (folder / "confusion.tsv").exists()
    sections = [load_datalist(tmp_path / "data" / "sequences" / "datalist.json", name) for name in ("training", "test")]
    assert not {item["subject"] for item in sections[0]} & {item["subject"] for item in sections[1]}
    steps = len(told)
    experiments.sequences(study, Size(2, 1, 1, 0))
    assert len(told) == steps
