"""The last step of a training: temperature, operating points, and what happens where there is nothing to go by."""

import json
from types import SimpleNamespace

import pytest
import torch

from csvd.engines import CascadeCalibration
from csvd.metrics import OPERATING_POINTS, FROCMetric, operating_threshold
from csvd.networks import CascadeNetwork


class TooSure(torch.nn.Module):
    """Discriminator that takes four times the first voxel for log-odds."""

    def classify(self, patches):
        odds = 4 * patches[:, 0, 0, 0, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class Candidates(torch.utils.data.Dataset):
    """Candidates whose first voxel is the log-odds of their label."""

    def __init__(self, count):
        generator = torch.Generator().manual_seed(0)
        self.odds = torch.randn(count, generator=generator) * 2
        self.labels = (torch.rand(count, generator=generator) < self.odds.sigmoid()).long()

    def __len__(self):
        return len(self.odds)

    def __getitem__(self, index):
        return {
            "image": self.odds[index].reshape(1, 1, 1, 1),
            "label": self.labels[index],
            "detected": torch.tensor(0.7),
            "position": torch.zeros(3),
        }


class Evaluator:
    """Runs over scans of one lesion that is found above 0.3, beside a false one up to 0.6."""

    def __init__(self, metric, scans, lesions=1):
        self.metric, self.scans, self.lesions = metric, scans, lesions
        self.state = SimpleNamespace(iteration=0)

    def run(self):
        probability, label = torch.zeros(1, 1, 9, 9, 9), torch.zeros(1, 1, 9, 9, 9)
        probability[..., 2, 2, 2], probability[..., 7, 7, 7] = 0.8, 0.6
        label[..., 2, 2, 2] = self.lesions
        for _ in range(self.scans):
            self.metric(probability, label)
            self.state.iteration += 1


def calibrate(folder, count=4000, scans=2, lesions=1):
    network = CascadeNetwork(torch.nn.Identity(), TooSure())
    metric = FROCMetric([0.1, 0.5, 0.7, 0.9])
    evaluator = Evaluator(metric, scans, lesions)
    paths = (str(folder / "model.pt"), str(folder / "points.json"))
    CascadeCalibration(network, Candidates(count), evaluator, metric, *paths).run()
    return network, json.loads((folder / "points.json").read_text())


def test_too_sure_a_network_is_cooled_and_saved(tmp_path):
    network, record = calibrate(tmp_path)
    assert network.temperature.item() == pytest.approx(4, rel=0.1)
    shift = network.bias + network.detector_weight * torch.tensor(0.7).logit()
    assert shift.item() == pytest.approx(0, abs=0.1)
    assert record["ece"] < 0.03
    assert sum(record["reliability"]["count"]) == 4000
    assert torch.load(tmp_path / "model.pt", weights_only=True)["temperature"] == network.temperature


def test_operating_points_say_what_they_gave(tmp_path):
    _, record = calibrate(tmp_path)
    assert record["validation"] == "2 scans, 2 lesions, matched by distance"
    best = record["operating_points"]["best_f1"]
    assert (best["tpr"], best["fps_per_subject"], best["f1"]) == (1, 0, 1)
    assert operating_threshold(tmp_path / "points.json", "best_f1") == pytest.approx(0.7)


@pytest.mark.parametrize(("count", "scans", "lesions"), [(0, 0, 1), (0, 2, 0)], ids=["no scan", "no lesion"])
def test_nothing_to_go_by_keeps_what_there_was(tmp_path, count, scans, lesions):
    network, record = calibrate(tmp_path, count, scans, lesions)
    assert network.temperature == 1
    assert {point["threshold"] for point in record["operating_points"].values()} == {0.5}
    assert set(record["operating_points"]) == set(OPERATING_POINTS)
    calibrate(tmp_path, 100, 2)
    kept = (tmp_path / "points.json").read_text()
    calibrate(tmp_path, count, scans, lesions)
    assert (tmp_path / "points.json").read_text() == kept
