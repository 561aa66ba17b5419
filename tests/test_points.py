"""Lesions known by their centres, and exact intervals, against values worked out by hand or printed in tables."""

import math

import pytest
import torch

from csvd.metrics import count_points, pair_points, pooled_rates
from csvd.metrics.exact import exact_rate, exact_rates, exact_share

TRUTH = torch.tensor([[0.0, 0, 0], [20, 0, 0], [40, 0, 0]])


def test_points_are_paired_one_to_one_and_the_closest():
    found = torch.tensor([[21.0, 0, 0], [23, 0, 0], [3, 4, 0], [40, 5.1, 0]])
    assert sorted(pair_points(found, TRUTH).tolist()) == [[0, 1], [2, 0]]


def test_more_pairs_go_before_closer_ones():
    truth = torch.tensor([[0.0, 0, 0], [4, 0, 0]])
    found = torch.tensor([[1.0, 0, 0], [-4, 0, 0]])  # the first is nearest to both
    assert sorted(pair_points(found, truth).tolist()) == [[0, 1], [1, 0]]


@pytest.mark.parametrize(("found", "truth"), [(0, 0), (0, 3), (2, 0)])
def test_nothing_pairs_with_nothing(found, truth):
    assert pair_points(torch.zeros(found, 3), torch.zeros(truth, 3)).shape == (0, 2)


def test_distance_must_be_positive():
    with pytest.raises(ValueError, match="max_distance_mm"):
        pair_points(TRUTH, TRUTH, max_distance_mm=0)


def test_counts_fall_with_the_threshold():
    found, probability = torch.tensor([[0.0, 0, 0], [20, 1, 0], [90, 0, 0]]), torch.tensor([0.9, 0.5, 0.3])
    counts = count_points(found, probability, TRUTH, (0.2, 0.5, 0.8, 0.95))
    assert counts.tolist() == [[3, 2, 3, 1], [3, 2, 2, 0], [3, 1, 1, 0], [3, 0, 0, 0]]


def test_lesion_that_is_not_counted_is_neither_missed_nor_false():
    found, probability = torch.tensor([[0.0, 0, 0], [20, 1, 0], [90, 0, 0]]), torch.full((3,), 0.9)
    counted = torch.tensor([True, False, False])
    assert count_points(found, probability, TRUTH, (0.5,), counted).tolist() == [[1, 1, 2, 1]]


def test_interval_of_a_share_is_that_of_clopper_and_pearson():
    share = exact_share(2, 10)  # https://doi.org/10.1093/biomet/26.4.404; R: binom.test(2, 10)
    assert (share.value, share.low, share.high) == pytest.approx((0.2, 0.02521, 0.55610), abs=1e-5)
    assert exact_share(0, 5).low == 0
    assert exact_share(0, 5).high == pytest.approx(1 - 0.025 ** (1 / 5))
    assert exact_share(5, 5).high == 1
    assert math.isnan(exact_share(0, 0).value)


def test_interval_of_a_rate_is_that_of_a_poisson_mean():
    rate = exact_rate(4, 2)  # R: poisson.test(4, 2)
    assert (rate.value, rate.low, rate.high) == pytest.approx((2, 0.54493, 5.12080), abs=1e-4)
    assert exact_rate(0, 10).low == 0
    assert exact_rate(0, 10).high == pytest.approx(-math.log(0.025) / 10)
    assert math.isnan(exact_rate(0, 0).value)


def test_pooled_rates_have_exact_intervals():
    rates = exact_rates(torch.tensor([[4, 2, 3, 1], [0, 0, 2, 2], [1, 1, 1, 0], [1, 0, 0, 0]]))
    values = {name: rate.value for name, rate in rates.items()}
    assert values == pytest.approx({"tpr": 3 / 6, "fps_per_subject": 3 / 4, "precision": 3 / 6, "f1": 0.5})
    shared = exact_share(3, 9)  # pairs of six lesions and three false positives
    assert rates["f1"].low == pytest.approx(2 * shared.low / (1 + shared.low))
    assert rates["f1"].low < 0.5 < rates["f1"].high


def test_f1_without_lesions_is_unknown():
    rates = exact_rates(torch.tensor([[0, 0, 2, 2]]))
    assert math.isnan(rates["f1"].value)
    assert math.isnan(rates["tpr"].value)
    assert rates["fps_per_subject"].value == 2


def test_pooled_f1_has_no_stray_bits():
    """18 lesions, 10 found, 14 detections, 4 of them false: 20 / 32, which a table shows as 0.62."""
    counts = torch.tensor([[12, 5, 6, 1], [6, 5, 8, 3]])
    assert float(pooled_rates(counts)["f1"]) == exact_rates(counts)["f1"].value == 0.625
