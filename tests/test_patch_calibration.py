"""Calibration of patch classifiers: temperature and bias, lesions that count less, and what stays as it was."""

import json
from types import SimpleNamespace

import pytest
import torch
from monai.data import MetaTensor

from csvd.engines import PatchCalibration
from csvd.inferers import Detections
from csvd.metrics import FROCMetric, fit_platt, kind_calibration, operating_threshold
from csvd.metrics.points import find_surest
from csvd.networks import PatchEnsemble
from csvd.planes import Turn

AFFINE = torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0]))


class Inferer:
    """Finds candidates at given points, with given log-odds."""

    def __init__(self, odds, points):
        self.odds, self.points = odds, points

    def candidates(self, scan, network):
        probability = network.calibrate(self.odds).sigmoid()
        return Detections(self.points, probability, torch.ones(len(self.points))), Turn(AFFINE)


class Evaluator:
    """Runs over scans of five lesions that are found above 0.3, beside a false one up to 0.6."""

    def __init__(self, metric, lesions):
        self.metric, self.lesions, self.state = metric, lesions, SimpleNamespace(iteration=0)

    def run(self):
        probability, label = torch.zeros(1, 1, 60, 9, 9), torch.zeros(1, 1, 60, 9, 9)
        for n in range(5):
            probability[..., 10 * n + 2, 2, 2], label[..., 10 * n + 2, 2, 2] = 0.8, self.lesions
        probability[..., 57, 7, 7] = 0.6
        self.metric(probability, label)
        self.state.iteration += 1


def calibrate(folder, count=2000, lesions=True, **options):
    generator = torch.Generator().manual_seed(0)
    odds = (2 * torch.randn(count, generator=generator)).sort(descending=True).values
    truth = torch.rand(count, generator=generator) < odds.sigmoid()
    points = torch.stack([10 * torch.arange(count), *torch.zeros(2, count, dtype=torch.long)], dim=1)
    label = torch.zeros(1, 10 * count, 1, 1)
    label[0, points[truth][:, 0]] = float(lesions)
    scan = {"image": MetaTensor(torch.zeros(2, 10 * count, 1, 1), affine=AFFINE), "label": label}
    network, metric = PatchEnsemble(features=8), FROCMetric([0.1, 0.5, 0.7, 0.9])
    network.temperature.fill_(3)
    paths = str(folder / "model.pt"), str(folder / "points.json")
    inferer = Inferer(4 * odds, points)
    PatchCalibration(network, [scan], inferer, Evaluator(metric, float(lesions)), metric, *paths, **options).run()
    return network, json.loads((folder / "points.json").read_text())


def test_too_sure_a_network_is_cooled_and_saved(tmp_path):
    network, record = calibrate(tmp_path)
    assert network.temperature.item() == pytest.approx(4, rel=0.15)
    assert network.bias.item() == pytest.approx(0, abs=0.15)
    assert record["ece"] < 0.03
    assert torch.load(tmp_path / "model.pt", weights_only=True)["temperature"] == network.temperature


def test_lesions_of_a_scan_with_many_count_together_as_a_few(tmp_path):
    network, record = calibrate(tmp_path, most_lesions=1)
    assert network.bias.item() < -4  # a thousand lesions weigh as one
    best = record["operating_points"]["best_f1"]
    # 5 of 5 lesions, weighing 1/5 each, beside 1 false positive at 0.5, none at 0.7
    assert (best["threshold"], best["tpr"], best["f1"]) == (pytest.approx(0.7), 1, 1)
    sensitive = record["operating_points"]["one_fp"]
    assert sensitive["precision"] == 1
    assert record["validation"] == "1 scans, 5 lesions, matched by distance"


def test_without_lesions_the_calibration_stays(tmp_path, caplog):
    network, record = calibrate(tmp_path, lesions=False)
    assert network.temperature == 3
    assert "not calibrated" in caplog.text
    assert record["operating_points"]["best_f1"]["threshold"] == 0.5


def test_without_scans_the_calibration_stays_and_the_weights_are_saved(tmp_path, caplog):
    """As in MONAI Label, where the one corrected scan is for training."""
    network = PatchEnsemble(features=8)
    network.temperature.fill_(3)
    idle = SimpleNamespace(run=lambda: None, state=SimpleNamespace(iteration=0))
    paths = str(tmp_path / "model.pt"), str(tmp_path / "points.json")
    PatchCalibration(network, [], None, idle, FROCMetric([0.5]), *paths).run()
    assert torch.load(tmp_path / "model.pt", weights_only=True)["temperature"] == 3
    assert "not calibrated" in caplog.text


def test_each_contrast_and_each_named_sequence_has_points_of_its_own(tmp_path):
    class Three(Evaluator):
        def run(self):
            for extra in (0.6, 0.05, 0.2):  # a false positive of each scan
                probability, label = torch.zeros(2, 1, 1, 9, 9, 9)
                probability[..., 2, 2, 2], label[..., 2, 2, 2], probability[..., 7, 7, 7] = 0.8, 1, extra
                self.metric(probability, label)
                self.state.iteration += 1

    points = torch.tensor([[2, 2, 2], [2, 2, 30]])
    label = torch.zeros(1, 9, 9, 40)
    label[0, 2, 2, 2] = 1
    image = MetaTensor(torch.zeros(2, 9, 9, 40), affine=AFFINE)
    scans = [{"image": image, "label": label, "contrast": name} for name in ("dark", "dark", "bright")]
    scans[1]["sequence"] = "SWI"
    network, metric = PatchEnsemble(features=8), FROCMetric([0.1, 0.5, 0.7])
    paths = str(tmp_path / "model.pt"), str(tmp_path / "points.json")
    PatchCalibration(network, scans, Inferer(torch.tensor([1.0, -1.0]), points), Three(metric, 1), metric, *paths).run()
    record = json.loads((tmp_path / "points.json").read_text())
    assert set(record["ece_of"]) == {"bright", "dark", "SWI"}
    assert (set(record["contrasts"]), set(record["sequences"])) == ({"dark", "bright"}, {"SWI"})
    assert record["contrasts"]["dark"]["validation"] == "1 scans, 1 lesions, matched by distance"
    assert metric.counts()[:, 1, 3].tolist() == [1, 0, 0]  # at 0.5


def test_a_threshold_is_that_of_the_sequence_else_of_the_contrast_else_of_all_scans(tmp_path):
    def points(threshold):
        return {"operating_points": {"best_f1": {"threshold": threshold}}}

    record = {**points(0.5), "contrasts": {"dark": points(0.2)}, "sequences": {"SWI": points(0.3)}}
    (tmp_path / "points.json").write_text(json.dumps(record))
    kinds = [("dark", None), ("dark", "SWI"), ("dark", "T2*-GRE"), ("bright", None)]
    at = [operating_threshold(tmp_path / "points.json", "best_f1", *kind) for kind in kinds]
    assert at == [0.2, 0.3, 0.2, 0.5]


@pytest.mark.parametrize("own", ["dark", "SWI", "bright"])  # first, middle, last
def test_a_kind_of_scan_in_which_the_network_is_less_sure_gets_probabilities_that_are_right(tmp_path, own):
    """The odds of one kind are 3 too low: after the calibration its probabilities are as right as those of others."""
    count, generator = 3000, torch.Generator().manual_seed(0)
    odds = (2 * torch.randn(count, generator=generator)).sort(descending=True).values
    truth = torch.rand(count, generator=generator) < odds.sigmoid()
    points = torch.stack([10 * torch.arange(count), *torch.zeros(2, count, dtype=torch.long)], dim=1)
    label = torch.zeros(1, 10 * count, 1, 1)
    label[0, points[truth][:, 0]] = 1
    image = torch.ones(2, 10 * count, 1, 1)
    kinds = [{"contrast": "dark"}, {"contrast": "dark", "sequence": "SWI"}, {"contrast": "bright"}]
    low = [kind.get("sequence", kind["contrast"]) == own for kind in kinds]
    images = [MetaTensor(3.0 * is_low * image, affine=AFFINE) for is_low in low]
    scans = [{"image": image, "label": label, **kind} for image, kind in zip(images, kinds, strict=True)]

    class Found(Inferer):
        def candidates(self, scan, network):
            probability = network.calibrate(self.odds - scan.max()).sigmoid()
            return Detections(self.points, probability, torch.ones(count)), Turn(AFFINE)

    class Run(Evaluator):
        def run(self):
            for is_low in low:  # a microbleed and, less sure, a false positive
                probability, label = torch.zeros(2, 1, 1, 9, 9, 9)
                probability[..., 2, 2, 2], label[..., 2, 2, 2] = (0.5 if is_low else 0.9), 1
                probability[..., 7, 7, 7] = 0.1
                self.metric(probability, label)
                self.state.iteration += 1

    inferer, metric, file = Found(odds, points), FROCMetric([0.3, 0.5, 0.7, 0.9]), tmp_path / "points.json"
    network = PatchEnsemble(features=8)
    paths = str(tmp_path / "model.pt"), str(file)
    PatchCalibration(network, scans, inferer, Run(metric, 1), metric, *paths).run()
    record = json.loads(file.read_text())
    assert all(error < 0.03 for error in record["ece_of"].values())
    for kind, is_low in zip(kinds, low, strict=True):
        temperature, bias = kind_calibration(file, **kind)
        with_both = network.calibrate(odds - 3 * is_low) / temperature + bias
        torch.testing.assert_close(with_both, odds, atol=0.35, rtol=0.1)
        threshold = torch.tensor(0.5 if is_low else 0.9, dtype=torch.float64)  # as the evaluator has it
        own_threshold = (threshold.logit() / temperature + bias).sigmoid().item()
        assert operating_threshold(file, "best_f1", **kind) == pytest.approx(own_threshold)


def test_a_kind_whose_microbleeds_are_all_surer_than_other_candidates_has_no_calibration_of_its_own(tmp_path):
    """Nothing then says how sure to be, and a fit ends where thresholds are 0 or 1."""

    class Run(Evaluator):
        def run(self):
            for extra in (0.4, 0.2):  # a false positive of each scan
                probability, label = torch.zeros(2, 1, 1, 9, 9, 9)
                probability[..., 2, 2, 2], label[..., 2, 2, 2], probability[..., 7, 7, 7] = 0.8, 1, extra
                self.metric(probability, label)
                self.state.iteration += 1

    odds = torch.linspace(3, -3, 40)
    points = torch.stack([10 * torch.arange(40), *torch.zeros(2, 40, dtype=torch.long)], dim=1)
    image, scans = MetaTensor(torch.zeros(2, 400, 1, 1), affine=AFFINE), []
    for contrast, lesions in (("dark", points[:12]), ("bright", points[[*range(9), 10, 13, 18]])):
        label = torch.zeros(1, 400, 1, 1)
        label[0, lesions[:, 0]] = 1
        scans.append({"image": image, "label": label, "contrast": contrast})
    network, metric = PatchEnsemble(features=8), FROCMetric([0.1, 0.3, 0.5, 0.7])
    file = tmp_path / "points.json"
    PatchCalibration(
        network, scans, Inferer(odds, points), Run(metric, 1), metric, str(tmp_path / "w"), str(file)
    ).run()
    assert kind_calibration(file, "dark") == (1, 0)
    assert kind_calibration(file, "bright") != (1, 0)
    assert operating_threshold(file, "best_f1", "dark") == pytest.approx(0.7)


def test_scans_that_name_no_contrast_have_that_of_the_configs(tmp_path):
    points = torch.tensor([[2, 2, 2], [2, 2, 30]])
    label = torch.zeros(1, 9, 9, 40)
    label[0, 2, 2, 2] = 1
    scan = {"image": MetaTensor(torch.zeros(2, 9, 9, 40), affine=AFFINE), "label": label}
    scans = [scan, {**scan, "sequence": "SWI"}, {**scan, "contrast": "bright"}]
    metric = FROCMetric([0.1, 0.5, 0.7])
    paths, inferer = (str(tmp_path / "w"), str(tmp_path / "points.json")), Inferer(torch.tensor([1.0, -1.0]), points)
    PatchCalibration(PatchEnsemble(features=8), scans, inferer, Evaluator(metric, 1), metric, *paths).run()
    assert set(json.loads((tmp_path / "points.json").read_text())["ece_of"]) == {"dark", "SWI", "bright"}


def test_a_kind_without_a_calibration_keeps_the_networks(tmp_path):
    points = {"operating_points": {"best_f1": {"threshold": 0.5}}}
    own = {**points, "calibration": {"temperature": 0.8, "bias": 2}}
    record = {**points, "temperature": 3, "bias": 1, "contrasts": {"dark": own, "bright": points}}
    (tmp_path / "points.json").write_text(json.dumps(record))
    at = [kind_calibration(tmp_path / "points.json", name) for name in ("dark", "bright", "other")]
    assert at == [(0.8, 2), (1, 0), (1, 0)]


def test_platt_needs_both_classes():
    with pytest.raises(ValueError, match="needs both"):
        fit_platt(torch.zeros(3), torch.ones(3), torch.ones(3))


def test_the_surest_point_near_a_lesion_is_the_one_that_finds_it():
    found = torch.tensor([[0.0, 0, 4], [0, 0, 1], [50, 0, 0], [0, 0, 9]])
    truth = torch.tensor([[0.0, 0, 0], [0, 0, 11]])
    assert find_surest(found, truth).tolist() == [True, False, False, True]
    assert find_surest(found, truth[:0]).tolist() == [False] * 4
