"""Scores of drawn masks and points, and what cohorts of them say, against values worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch

from csvd.metrics import score_masks, score_points
from csvd.metrics.cohort_score import bland_altman, challenge_figures, quartiles, sensitivity_by_size
from csvd.metrics.exact import exact_share

AFFINE = torch.diag(torch.tensor([0.5, 0.5, 2.0, 1.0], dtype=torch.float64))  # 0.5 mm3 a voxel
HIT, EMPTY = [1, 1, 1, 0], [0, 0, 0, 0]


def boxes(*places):
    """Volume (1, 40, 40, 8) with numbered boxes, (start, stop) along the first axis, 4 x 2 voxels across."""
    volume = torch.zeros(1, 40, 40, 8)
    for number, (start, stop) in enumerate(places, start=1):
        volume[0, start:stop, 10:14, 3:5] = number
    return volume


def score(detected, truth, **how):
    return score_masks(boxes(*detected), boxes(*truth), AFFINE, **how)


def counts(scored):
    return {rule: row.tolist() for rule, row in scored.counts.items()}


def test_lesion_that_is_outlined_exactly_is_found_by_all_rules():
    scored = score([(4, 8)], [(4, 8)])
    assert counts(scored) == {"distance": HIT, "strict": HIT, "overlap": HIT}
    assert (scored.dice, scored.f1, scored.volume_mm3, scored.reported_mm3) == (1, 1, 16, 16)  # 4 x 4 x 2 voxels
    assert scored.diameter_mm.tolist() == pytest.approx([(6 * 16 / math.pi) ** (1 / 3)])


def test_fat_detection_over_two_lesions_finds_both_by_overlap_only():
    # centres of the lesions 16.5 and 22.5, of the detection 19.5: 1.5 mm; Dice 2 * 8 / (8 + 304)
    scored = score([(0, 39)], [(16, 17), (22, 23)])
    assert counts(scored) == {"distance": [2, 1, 1, 0], "strict": [2, 0, 1, 1], "overlap": [2, 2, 1, 0]}
    assert scored.dice == pytest.approx(2 * 16 / (16 + 312))


def test_second_detection_of_a_lesion_is_false_but_by_overlap():
    scored = score([(4, 6), (8, 10)], [(4, 10)])
    assert counts(scored) == {"distance": [1, 1, 2, 1], "strict": [1, 1, 2, 1], "overlap": [1, 1, 2, 0]}


def test_detections_that_touch_are_told_apart_by_their_numbers():
    scored = score([(4, 8), (8, 12)], [(4, 8)])
    assert scored.detections == 2
    assert counts(scored)["distance"] == [1, 1, 2, 1]


def test_numbers_of_detections_may_have_gaps():
    detected = boxes((4, 8), (20, 24))
    assert counts(score_masks(detected * 7, boxes((20, 24)), AFFINE))["distance"] == [1, 1, 2, 1]


def test_neighbour_is_found_by_its_centre_and_not_strictly():
    scored = score([(8, 12)], [(4, 8)])  # 2 mm apart, no voxel shared
    assert counts(scored) == {"distance": HIT, "strict": [1, 0, 1, 1], "overlap": [1, 0, 1, 1]}
    assert scored.dice == 0


def test_strict_match_needs_a_dice_above_a_tenth():
    # of a lesion of 1 slab: 2 / (1 + 19) is 0.1, and 2 / (1 + 18) is more
    assert counts(score([(0, 19)], [(9, 10)]))["strict"] == [1, 0, 1, 1]
    assert counts(score([(0, 18)], [(9, 10)]))["strict"] == HIT


def test_scan_without_lesions_has_false_positives_and_neither_dice_nor_f1():
    scored = score([(4, 8), (20, 22)], [])
    assert counts(scored) == {"distance": [0, 0, 2, 2], "strict": [0, 0, 2, 2], "overlap": [0, 0, 2, 2]}
    assert math.isnan(scored.dice)
    assert math.isnan(scored.f1)
    assert (scored.volume_mm3, scored.reported_mm3) == (0, 24)


def test_scan_without_detections_misses_all():
    scored = score([], [(4, 8), (20, 22)])
    assert counts(scored)["distance"] == [2, 0, 0, 0]
    assert (scored.dice, scored.f1, scored.volume_mm3, scored.reported_mm3) == (0, 0, 24, 0)
    assert counts(score([], [])) == {"distance": EMPTY, "strict": EMPTY, "overlap": EMPTY}


def test_volume_that_the_detector_measured_goes_before_that_of_voxels():
    assert score([(4, 8)], [(4, 8)], reported_mm3=13.7).reported_mm3 == 13.7


def test_distance_is_in_mm_of_an_oblique_scan():
    turned = torch.tensor([[0, -0.5, 0, 9], [0.5, 0, 0, 3], [0, 0, 2, 1], [0, 0, 0, 1]], dtype=torch.float64)
    near, far = boxes((14, 18)), boxes((15, 19))  # 5 and 5.5 mm from the lesion
    assert counts(score_masks(near, boxes((4, 8)), turned))["distance"] == HIT
    assert counts(score_masks(far, boxes((4, 8)), turned))["distance"] == [1, 0, 1, 1]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="its label's"):
        score_masks(boxes(), boxes()[..., 1:], AFFINE)
    with pytest.raises(ValueError, match=r"it needs to be \(1, H, W, D\)"):
        score_masks(boxes()[0], boxes()[0], AFFINE)


POINTS = torch.tensor([[0.0, 0, 0], [20, 0, 0], [40, 0, 0]])


def test_points_are_matched_by_distance_and_have_no_mask():
    scored = score_points(torch.tensor([[3.0, 0, 0], [21, 0, 0], [60, 0, 0]]), POINTS, reported_mm3=9.0)
    assert counts(scored) == {"distance": [3, 2, 3, 1]}
    assert scored.found.tolist() == [True, True, False]
    assert all(math.isnan(value) for value in (scored.dice, scored.volume_mm3, *scored.diameter_mm))


def test_points_leave_what_needs_masks_unknown():
    scored = score_points(POINTS, POINTS, reported_mm3=9.0)
    figures = challenge_figures([scored])
    assert (figures["f1"].median, figures["count_difference"].median) == (1, 0)
    assert [figures[name].scans for name in ("dice", "volume_difference_mm3")] == [0, 0]
    assert math.isnan(figures["dice"].median)
    assert math.isnan(figures["volume_difference_mm3"].median)
    assert all(math.isnan(one.sensitivity.value) for one in sensitivity_by_size([scored]))
    assert bland_altman([scored.reported_mm3], [scored.volume_mm3]).scans == 0


@pytest.fixture
def cohort():
    """First scan: one of two found, one false; middle: no lesion, one false; last: one lesion, nothing detected."""
    return [score([(4, 8), (30, 32)], [(4, 8), (18, 19)]), score([(4, 6)], []), score([], [(4, 8)])]


def test_challenge_takes_medians_over_scans(cohort):
    figures = challenge_figures(cohort)
    # Dice 2 * 32 / (40 + 48) and 0; F1 1 / 2 and 0; both are not defined in the middle scan
    assert figures["dice"].scans == figures["f1"].scans == 2
    assert figures["dice"].median == pytest.approx(2 * 32 / 88 / 2)
    assert (figures["f1"].median, figures["f1"].low, figures["f1"].high) == pytest.approx((0.25, 0.125, 0.375))
    # volumes 24 of 20, 8 of 0, 0 of 16 mm3; counts 2 of 2, 1 of 0, 0 of 1
    volume, count = figures["volume_difference_mm3"], figures["count_difference"]
    assert (volume.median, volume.low, volume.high, volume.scans) == (8, 6, 12, 3)
    assert (count.median, count.low, count.high) == (1, 0.5, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_figures_do_not_depend_on_the_order_of_scans(cohort, order):
    turned = [cohort[k] for k in order]
    assert challenge_figures(turned) == challenge_figures(cohort)
    assert [(one.lesions, one.found) for one in sensitivity_by_size(turned)] == [(1, 0), (0, 0), (2, 1), (0, 0), (0, 0)]


def test_sensitivity_has_exact_intervals_in_bins_of_the_true_diameter(cohort):
    third = sensitivity_by_size(cohort)[2]  # lesions of 16 mm3: 3.1 mm
    assert (third.low_mm, third.high_mm, third.lesions, third.found) == (3, 4, 2, 1)
    assert third.sensitivity == exact_share(1, 2)
    assert math.isnan(sensitivity_by_size(cohort)[1].sensitivity.value)
    assert len(sensitivity_by_size([])) == 5


def test_lesion_on_the_edge_of_a_bin_is_in_the_upper_one(cohort):
    edge = replace(cohort[2], diameter_mm=torch.tensor([3.0], dtype=torch.float64))
    assert [one.lesions for one in sensitivity_by_size([edge])] == [0, 0, 1, 0, 0]


def test_limits_of_agreement_are_those_of_bland_and_altman():
    # differences 1, 0, -1, 4: mean 1, standard deviation sqrt(14 / 3)
    agreement = bland_altman([3, 5, 1, 9], [2, 5, 2, 5])
    half = 1.96 * math.sqrt(14 / 3)
    assert (agreement.bias, agreement.scans) == (1, 4)
    assert (agreement.low, agreement.high) == pytest.approx((1 - half, 1 + half))


def test_one_scan_has_a_bias_and_no_limits():
    agreement = bland_altman([3, 4], [1, math.nan])
    assert (agreement.bias, agreement.scans) == (2, 1)
    assert math.isnan(agreement.low)


def test_no_value_has_no_median():
    assert quartiles([math.nan]).scans == 0
    assert math.isnan(quartiles([]).median)
