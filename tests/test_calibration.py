"""Calibration and operating points, on candidates whose answer is known."""

import pytest
import torch
from monai.metrics.calibration import CalibrationErrorMetric, calibration_binning

from csvd.metrics import OPERATING_POINTS, fit_calibration, operating_thresholds, reliability


def test_honest_probabilities_have_no_error():
    probability = torch.tensor([0.25, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75])
    label = torch.tensor([1, 0, 0, 0, 1, 1, 1, 0])
    result = reliability(probability, label, bins=2)
    assert result.ece == pytest.approx(0)
    assert (result.confidence.tolist(), result.observed_frequency.tolist(), result.count.tolist()) == (
        [0.25, 0.75],
        [0.25, 0.75],
        [4, 4],
    )


def test_boasting_is_measured():
    result = reliability(torch.full((10,), 1.0), torch.tensor([1] * 6 + [0] * 4))
    assert result.ece == pytest.approx(0.4)


def test_bins_and_error_are_those_of_monai():
    draws = torch.Generator().manual_seed(0)
    probability = torch.rand(500, generator=draws)
    label = (torch.rand(500, generator=draws) < probability**2).float()
    result = reliability(probability, label, bins=15)
    confidence, observed_frequency, count = (
        part[0, 0] for part in calibration_binning(probability[None, None], label[None, None], 15)
    )
    torch.testing.assert_close(
        [result.confidence, result.observed_frequency, result.count],
        [confidence, observed_frequency, count],
        check_dtype=False,
    )
    metric = CalibrationErrorMetric(num_bins=15)
    metric(probability[None, None], label[None, None])
    assert result.ece == pytest.approx(metric.aggregate().item(), abs=1e-6)


def test_weights_count_candidates_several_times():
    probability, label = torch.tensor([0.9, 0.7, 0.2]), torch.tensor([1, 0, 0])
    result = reliability(probability, label, bins=2, weight=torch.tensor([3.0, 1, 4]))
    # above a half: said (3 x 0.9 + 0.7) / 4 = 0.85, so 3 / 4; below: 0.2, none
    assert result.ece == pytest.approx((4 * 0.1 + 4 * 0.2) / 8)


@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_calibration_undoes_what_made_the_logits_too_sure_and_too_many(shift):
    generator = torch.Generator().manual_seed(0)
    odds = torch.randn(20000, generator=generator) * 2
    label = torch.rand(20000, generator=generator) < (odds + shift).sigmoid()
    detected = torch.rand(20000, generator=generator)  # says nothing
    logits = torch.stack([torch.zeros_like(odds), 3 * odds], dim=1)
    temperature, weight, bias = fit_calibration(logits, detected, label.long())
    assert temperature == pytest.approx(3, rel=0.07)
    assert weight == pytest.approx(0, abs=0.05)
    assert bias == pytest.approx(shift, abs=0.1)


def test_detector_has_its_say_where_it_knows_more():
    generator = torch.Generator().manual_seed(0)
    odds, suspicion = torch.randn(2, 20000, generator=generator) * 2
    label = torch.rand(20000, generator=generator) < (odds + 0.5 * suspicion).sigmoid()
    logits = torch.stack([torch.zeros_like(odds), odds], dim=1)
    temperature, weight, _ = fit_calibration(logits, suspicion.sigmoid(), label.long())
    assert (temperature, weight) == pytest.approx((1, 0.5), rel=0.07)


def test_operating_points_are_what_they_are_called():
    # 10 subjects together: lesions, found, detections, false positives, at falling thresholds
    table = {0.9: (10, 5, 5, 0), 0.7: (10, 8, 10, 2), 0.5: (10, 9, 18, 9), 0.3: (10, 10, 30, 20)}
    counts = torch.zeros(10, 4, 4, dtype=torch.long)
    counts[0] = torch.tensor(list(table.values()))
    points = operating_thresholds(counts, torch.tensor(list(table)))
    assert tuple(points) == OPERATING_POINTS
    assert points == pytest.approx({"best_f1": 0.7, "sensitivity_90": 0.5, "one_fp": 0.5})


def test_operating_points_that_cannot_be_had_come_closest():
    counts = torch.tensor([[(100, 30, 90, 60), (100, 46, 240, 200), (100, 50, 900, 850)]])
    points = operating_thresholds(counts, torch.tensor([0.8, 0.2, 0.1]))
    assert points == pytest.approx({"best_f1": 0.8, "sensitivity_90": 0.2, "one_fp": 0.8})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability(torch.zeros(0), torch.zeros(0)), "calibration of 0 candidates"),
        (
            lambda: fit_calibration(torch.zeros(3, 2), torch.ones(3), torch.ones(3)),
            r"candidates of the classes \[1.0\]",
        ),
        (lambda: operating_thresholds(torch.zeros(2, 3, 4), torch.rand(3)), "subjects without lesions"),
    ],
)
def test_error_names_what_has_no_calibration(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_candidates_that_are_nearly_alike_are_left_as_they_are():
    """The labels follow differences in the seventh digit, and the likeliest values are infinite."""
    odds = torch.tensor([0.1123569533, 0.1123563498, 0.1123569533, 0.1123555750, 0.1123569533, 0.1123565361])
    detector = [-0.0187135435, -0.0188790206, -0.0187069865, -0.0189385114, -0.0187102054, -0.0189008379]
    logits, detected = torch.stack([torch.zeros(6), odds], dim=1), torch.tensor(detector).double().sigmoid()
    assert fit_calibration(logits, detected, torch.tensor([0, 1, 0, 1, 0, 1])) == (1, 0, 0)
