"""Lesion counts on small pictures whose answer is known."""

import pytest
import torch
from monai.data import MetaTensor

from csvd.metrics import count_lesions

BLANK = (1, 24, 5, 5)


def line(*stretches, value=1.0):
    """Volume (1, 24, 5, 5) with clusters along the middle of the first axis: ``(start, stop)`` each."""
    volume = torch.zeros(BLANK)
    for start, stop in stretches:
        volume[0, start:stop, 2, 2] = value
    return volume


def counts(prediction, label, **settings):
    """Lesions, found, detections, false positives at a threshold of 0.5."""
    return count_lesions(prediction, label, (0.5,), **settings)[0].tolist()


def test_one_prediction_over_two_lesions_finds_both():
    assert counts(line((2, 10)), line((2, 4), (8, 10))) == [2, 2, 1, 0]


def test_one_prediction_over_two_lesions_pairs_with_one_by_distance():
    assert counts(line((2, 10)), line((2, 4), (8, 10)), match="distance") == [2, 1, 1, 0]


def test_two_predictions_in_one_lesion_are_both_true():
    assert counts(line((2, 4), (6, 8)), line((2, 8))) == [1, 1, 2, 0]


def test_second_prediction_of_one_lesion_is_false_by_distance():
    assert counts(line((2, 4), (6, 8)), line((2, 8)), match="distance") == [1, 1, 2, 1]


def test_one_voxel_of_overlap_suffices_and_a_neighbour_does_not():
    assert counts(line((4, 8)), line((2, 5))) == [1, 1, 1, 0]
    assert counts(line((5, 8)), line((2, 5))) == [1, 0, 1, 1]


def test_clusters_that_touch_by_a_corner_are_one():
    diagonal = torch.zeros(BLANK)
    diagonal[0, [0, 1], [0, 1], [0, 1]] = 1
    assert counts(diagonal, diagonal) == [1, 1, 1, 0]


def test_instances_that_touch_are_one_lesion():
    assert counts(line((2, 6)), line((2, 4)) + 2 * line((4, 6))) == [1, 1, 1, 0]


@pytest.mark.parametrize("match", ["overlap", "distance"])
def test_thresholds_together_count_as_each_alone(match):
    generator = torch.Generator().manual_seed(0)
    rough = (torch.rand(1, 24, 12, 8, generator=generator) * 5).floor() / 10 + 0.3  # clusters shrink and fall apart
    apart = line((2, 4), value=0.7) + line((6, 9), value=0.4) + line((14, 16), value=0.9)  # clusters only vanish
    for probability in (rough, apart):
        label = (probability >= 0.7).float().roll(1, dims=1)
        thresholds = (0.7, 0.3, 0.9, 0.5, 0.7)
        each = [count_lesions(probability, label, (threshold,), match) for threshold in thresholds]
        assert torch.equal(count_lesions(probability, label, thresholds, match), torch.cat(each))


@pytest.mark.parametrize("match", ["overlap", "distance"])
def test_empty_prediction_finds_nothing(match):
    assert counts(torch.zeros(BLANK), line((2, 4)), match=match) == [1, 0, 0, 0]


@pytest.mark.parametrize("match", ["overlap", "distance"])
def test_every_detection_in_a_healthy_subject_is_false(match):
    assert counts(line((2, 4), (8, 9)), torch.zeros(BLANK), match=match) == [0, 0, 2, 2]


@pytest.mark.parametrize(("voxel_mm", "found"), [(0.7, 1), (0.73, 0)])
def test_distance_is_measured_in_mm_on_anisotropic_grids(voxel_mm, found):
    # 7 voxels apart along the first axis: 4.9 and 5.11 mm
    affine = torch.diag(torch.tensor([voxel_mm, 0.5, 3, 1], dtype=torch.float64))
    label = MetaTensor(line((2, 3)), affine=affine)
    assert counts(line((9, 10)), label, match="distance") == [1, found, 1, 1 - found]


def test_distance_without_an_affine_is_in_voxels():
    assert counts(line((7, 8)), line((2, 3)), match="distance") == [1, 1, 1, 0]
    assert counts(line((8, 9)), line((2, 3)), match="distance") == [1, 0, 1, 1]


def test_assignment_makes_as_many_pairs_as_possible():
    # lesions at 2 and 6, detections at 5 and 10: the nearest pair (6, 5) would leave 2 and 10 without a partner
    assert counts(line((5, 6), (10, 11)), line((2, 3), (6, 7)), match="distance") == [2, 2, 2, 0]


def test_each_threshold_has_a_row():
    prediction = line((2, 4), value=0.9) + line((8, 10), value=0.4)
    rows = count_lesions(prediction, line((2, 4)), (0.3, 0.5, 0.95))
    assert rows.tolist() == [[1, 1, 2, 1], [1, 1, 1, 0], [1, 0, 0, 0]]


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="`match` must be one of 'overlap', 'distance', got 'dice'"):
        counts(line(), line(), match="dice")


def test_distance_must_be_positive():
    with pytest.raises(ValueError, match="`max_distance_mm` must be above 0, got 0"):
        counts(line(), line(), max_distance_mm=0)


def test_other_shape_is_refused():
    with pytest.raises(ValueError, match=r"its shape is \(24, 5, 5\), its label's \(24, 5, 4\)"):
        counts(line(), line()[..., :4])


def test_logits_of_two_channels_are_refused():
    with pytest.raises(ValueError, match=r"its shape is \(2, 24, 5, 5\), it needs to be \(1, H, W, D\)"):
        counts(torch.zeros(2, 24, 5, 5), line())
