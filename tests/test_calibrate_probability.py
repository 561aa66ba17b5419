"""Probabilities of a kind of scan: another temperature and bias, and 0 where there is nothing."""

import pytest
import torch

from csvd.transforms import CalibrateProbabilityd, calibrate_probability


def test_odds_are_divided_and_shifted_and_nothing_stays_nothing():
    before = torch.tensor([[0.0, 0.5, 0.1, 1.0]])
    after = calibrate_probability(before, 2, 1)
    assert after.tolist()[0] == pytest.approx([0, 0.7311, 0.4753, 1], abs=1e-4)  # sigmoid of 1 and of ln(1/9) / 2 + 1


def test_one_and_zero_change_not_a_bit():
    before = torch.rand(1000)
    assert torch.equal(calibrate_probability(before, 1, 0), before)


def test_a_temperature_of_0_is_refused():
    with pytest.raises(ValueError, match="`temperature` must be above 0, got 0"):
        CalibrateProbabilityd("prob", (0, 1))


def test_every_map_is_changed_and_the_order_of_its_values_stays():
    maps = {"one": torch.rand(1, 4, 4, 4), "two": torch.rand(1, 4, 4, 4), "other": torch.ones(1)}
    out = CalibrateProbabilityd(["one", "two"], (0.8, 2.1))(maps)
    for key in ("one", "two"):
        assert (out[key] > maps[key]).all()
        assert torch.equal(out[key].flatten().argsort(), maps[key].flatten().argsort())
    assert out["other"] is maps["other"]
