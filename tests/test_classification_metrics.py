"""Statistics of the classification, against numbers that others published or that follow by hand."""

import numpy as np
import pytest

from csvd.metrics.classification import (
    auc_difference,
    auc_interval,
    class_rates,
    compare_readers,
    fleiss_kappa,
    rate_intervals,
    stratified_bootstrap,
)


def test_rates_of_a_small_table_by_hand():
    labels, chosen = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    rates = class_rates(labels, chosen, classes=3)
    assert rates["accuracy"] == pytest.approx(4 / 6)
    assert rates["macro precision"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert rates["weighted recall"] == pytest.approx(4 / 6)
    assert rates["macro F1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)


def test_auc_and_its_interval():
    positive = np.array([True] * 3 + [False] * 4)
    area = auc_interval(positive, np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1, 0.3]))
    assert area.value == pytest.approx((4 + 4 + 2.5) / 12)
    assert area.low < area.value < area.high <= 1


def test_interval_of_an_auc_covers_the_truth():
    rng = np.random.default_rng(0)
    positive = np.arange(120) < 50
    truth = 0.7602  # of normal scores one standard deviation apart
    inside = 0
    for _ in range(300):
        area = auc_interval(positive, rng.normal(positive.astype(float)))
        inside += area.low < truth < area.high
    assert 0.92 < inside / 300 < 0.98


def test_difference_of_aucs_by_hand():
    """Placements of the first, of two positives: 1 and 1/2, of two negatives: 1/2 and 1; of the second: all 1."""
    positive = np.array([True, True, False, False])
    difference, p = auc_difference(positive, np.array([4.0, 2.0, 3.0, 1.0]), np.array([4.0, 3.0, 2.0, 1.0]))
    error = np.sqrt(2 * (2 * 0.25**2) / 2)  # of both kinds: squares of 0, -1/2 about their mean, by n - 1, by n
    assert (difference.value, difference.high) == pytest.approx((-0.25, -0.25 + 1.95996 * error), abs=1e-5)
    assert difference.low == pytest.approx(-0.25 - 1.95996 * error, abs=1e-5)
    assert p == pytest.approx(2 * (1 - 0.76025), abs=1e-4)  # of the normal distribution beyond 0.7071


def test_difference_of_aucs_keeps_its_level_covers_the_truth_and_sees_a_difference():
    rng = np.random.default_rng(1)
    positive = np.arange(80) < 40
    alike, inside = [], []
    for _ in range(300):
        shared = rng.normal(positive.astype(float))
        difference, p = auc_difference(positive, shared + rng.normal(size=80), shared + rng.normal(size=80))
        alike.append(p < 0.05)
        inside.append(difference.low < 0 < difference.high)
    assert 0.02 < np.mean(alike) < 0.09
    assert 0.91 < np.mean(inside) < 0.98
    good, p = auc_difference(positive, rng.normal(2.0 * positive), rng.normal(size=80))
    assert (good.low > 0, p < 0.001) == (True, True)


def test_scores_of_one_order_have_equal_areas_and_opposite_ones_have_not():
    positive = np.arange(80) < 40
    scores = np.random.default_rng(1).normal(2.0 * positive)
    same, p = auc_difference(positive, scores, 3 * scores)
    assert (same.value, same.low, same.high, p) == (0, 0, 0, 1)
    opposite, p = auc_difference(positive, positive.astype(float), -positive.astype(float))
    assert (opposite.value, p) == (1, 0)


def test_a_perfect_curve_has_the_interval_of_as_many_pairs_as_share_no_subject():
    area = auc_interval(np.arange(13) < 10, -np.arange(13.0))
    assert (area.value, area.low, area.high) == pytest.approx((1, 0.025 ** (1 / 3), 1))
    assert auc_interval(np.arange(13) < 10, np.arange(13.0)).high == pytest.approx(1 - 0.025 ** (1 / 3))


def intervals(right, wrong):
    """Intervals of subjects of two classes, the first ones named right."""
    labels = np.arange(right + wrong) % 2
    chosen = np.where(np.arange(right + wrong) < right, labels, 1 - labels)
    return rate_intervals(labels, chosen, lambda index: class_rates(labels[index], chosen[index], classes=2))


@pytest.mark.parametrize("right", [10, 40])
def test_rates_of_all_right_have_the_interval_of_clopper_and_pearson(right):
    for rate in intervals(right, 0).values():
        assert (rate.value, rate.low, rate.high) == pytest.approx((1, 0.025 ** (1 / right), 1))


def test_accuracy_of_few_subjects_is_exact_and_of_many_a_bootstrap():
    few, many = intervals(9, 10), intervals(10, 10)
    for name in ("accuracy", "weighted recall"):  # R: binom.test(9, 19)
        assert (few[name].low, few[name].high) == pytest.approx((0.2445, 0.7114), abs=1e-4)
        assert many[name].low > 0.2720 + 1e-3  # R: binom.test(10, 20)


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_one_class_alone_has_no_curve(positive):
    with pytest.raises(ValueError, match=r"of 2 subjects have the class"):
        auc_interval(np.array(positive), np.array([0.1, 0.2]))


def test_bootstrap_keeps_the_classes():
    labels = np.array([0] * 5 + [1] * 2)
    shares = stratified_bootstrap(labels, lambda draw: {"share": float(labels[draw].mean())}, n=50)
    assert shares["share"].low == shares["share"].high == pytest.approx(2 / 7)


def test_readers_are_compared_where_only_one_is_right():
    labels = np.zeros(20, int)
    first, second = np.zeros(20, int), np.array([1] * 8 + [0] * 12)
    assert compare_readers(labels, first, second) == pytest.approx(2 * 0.5**8)
    assert compare_readers(labels, first, first) == 1


def test_kappa_of_fleiss_1971():
    # Counts of 14 raters for 10 subjects and 5 categories: kappa 0.210, as on the statistic's Wikipedia page.
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    named = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert fleiss_kappa(named) == pytest.approx(0.210, abs=0.001)
    assert np.isnan(fleiss_kappa(np.zeros((4, 3), int)))
