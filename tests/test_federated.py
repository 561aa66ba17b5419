"""The bundles in MONAI's federated client: a round of training on weights from elsewhere, and rounds of two sites."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

from csvd import experiments
from csvd.experiments import Size
from csvd.experiments.federated import LESIONS, ROUNDS, SITES, THRESHOLDS, average_weights, site_rates
from csvd.io import load_datalist
from csvd.io.splits import SECTIONS

ROOT = Path(__file__).parents[1] / "bundles"
SMALL = {
    "cmb_detection": {
        "patch_size": [24, 24, 8],
        "margin_size": [30, 30, 10],
        "network_def#detector#features": 2,
        "val_interval": 1000,
    },
    "csvd_classification": {**small.CLASSIFIER, "val_interval": 1000},
}
CONFIGS = {
    "cmb_detection": ["configs/train.json", "configs/train_paper.json"],
    "csvd_classification": ["configs/train.json"],
}
METRICS = {"cmb_detection": "froc", "csvd_classification": "loss"}


@pytest.fixture
def client(name, people, tmp_path):
    """Client of a federation that trains the bundle, a small network."""
    folders = {"output_dir": str(tmp_path / "eval"), "ckpt_dir": str(tmp_path / "models")}
    settings = {"dataset_dir": str(people), **folders, **SMALL[name]}
    client = MonaiAlgo(
        bundle_root=str(ROOT / name),
        config_train_filename=CONFIGS[name],
        train_kwargs=settings,
        config_evaluate_filename=CONFIGS[name],
        eval_kwargs=settings,
        eval_workflow_name="train",
        config_filters_filename=None,
        local_epochs=1,
        send_weight_diff=False,
    )
    client.initialize(extra={ExtraItems.CLIENT_NAME: "site_1", ExtraItems.APP_ROOT: str(ROOT / name)})
    return client


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_round_starts_from_the_servers_weights_and_can_be_evaluated(name, client):
    weights = {key: value.clone() for key, value in client.trainer.network.state_dict().items()}
    trained = [key for key in weights if key.endswith(("weight", "bias")) and not key.startswith("cascade.")]
    for _ in range(2):
        server = ExchangeObject(weights=weights)
        client.train(server)
        sent = client.get_weights(extra={})
        moved = max(float((torch.as_tensor(sent.weights[key]) - weights[key]).abs().max()) for key in trained)
        assert 0 < moved < 0.05  # Adam moves a weight by at most its learning rate an iteration
    result = client.evaluate(server)
    assert METRICS[name] in result.metrics
    client.finalize()


def test_average_weighs_each_client_by_its_size():
    sent = [
        {"layer.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "count": torch.tensor(2)},
        {"layer.weight": np.array([[5.0, 2.0], [-1.0, 0.0]], np.float32), "count": torch.tensor(6)},
    ]
    mean = average_weights(sent, [3, 1])
    torch.testing.assert_close(mean["layer.weight"], torch.tensor([[2.0, 2.0], [2.0, 3.0]]))
    assert (mean["count"].item(), mean["count"].dtype) == (3, torch.int64)
    torch.testing.assert_close(average_weights(sent[:1], [7]), sent[0])


def test_rates_are_those_of_at_most_one_false_positive_a_scan():
    counts = torch.zeros(2, len(THRESHOLDS), 4, dtype=torch.long)
    for index in range(len(THRESHOLDS)):
        found, false = (5, 3) if index < 10 else (4, 1) if index < 20 else (2, 0)
        counts[:, index] = torch.tensor([5, found, found + false, false])
    rates = site_rates(counts)
    assert rates["TPR"] == "0.800 [0.444, 0.975]"  # R: binom.test(8, 10)
    assert rates["FPs per scan"].startswith("1.000 [0.121, 3.612]")  # R: poisson.test(2), of two scans
    assert rates["F1"].startswith("0.800 [")


@pytest.mark.slow
def test_two_sites_are_averaged_and_compared_with_each_alone(small_cohort, tmp_path, monkeypatch):
    """Site A has two scans, B one, each client of all rows three updates; nothing is trained or measured twice."""
    items = [item for section in SECTIONS for item in load_datalist(small_cohort / "datalist.json", section)]

    def cohort(self, preset, subjects, seed, **how):
        assert how == {"lesions": LESIONS}
        return {1: items[:2], 2: items[3:], 3: items[2:3], 4: items[3:]}[seed]

    monkeypatch.setattr(experiments.Study, "cohort", cohort)
    said, averages = [], []

    def average(sent, sizes):
        averages.append(sizes)
        return average_weights(sent, sizes)

    monkeypatch.setattr(sys.modules["csvd.experiments.federated"], "average_weights", average)
    settings = {"epochs": 3, "train#sampler#batches": 1, "batch_size": 8, "network_def#features": 8}
    study = experiments.Study(tmp_path, ROOT / "cmb_detection", settings, said.append)
    size = Size(training=2, validation=1, test=0, folds=0, settings=settings)
    for _ in range(2):
        folder = experiments.federated(study, size)
    with (folder / "federated.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["trained"] for row in rows] == ["site A alone", "site B alone", "federated", "pooled"]
    assert averages == [[2]] * ROUNDS + [[1]] * ROUNDS + [[2, 1]] * ROUNDS + [[3]] * ROUNDS
    assert len(said) == 4 * 3
    assert all(row[f"{rate}, {site}"] for row in rows for rate in ("TPR", "FPs per scan", "F1") for site in SITES)
    assert all(len(row["loss of the rounds"].split(", ")) == ROUNDS for row in rows)
    weights = [tmp_path / "weights" / name / "model.pt" for name in ("site_A_alone", "federated")]
    alone, together = (torch.load(path, weights_only=True) for path in weights)
    assert alone.keys() == together.keys()
    assert not torch.equal(alone["members.0.stem.weight"], together["members.0.stem.weight"])
