"""The loss of candidate detection, against values worked out by hand."""

import math

import pytest
import torch

from csvd.losses import WeightedCEDiceLoss


@pytest.fixture
def label():
    """One microbleed voxel among four."""
    return torch.tensor([1.0, 0, 0, 0]).reshape(1, 1, 4, 1, 1)


def test_undecided_network_pays_ln2_and_its_dice(label):
    # weighted mean of ln 2 is ln 2; Dice = 2 * 0.5 / (4 * 0.5 + 1)
    loss = WeightedCEDiceLoss()(torch.zeros(1, 2, 4, 1, 1), label)
    assert loss.item() == pytest.approx(math.log(2) + 1 - 1 / 3, abs=1e-4)


def test_missed_voxel_costs_ten_times_a_false_one(label):
    cross_entropy, target = WeightedCEDiceLoss(lesion_weight=10).cross_entropy, label[:, 0].long()
    right = torch.tensor([[-5.0, 5, 5, 5], [5, -5, -5, -5]]).reshape(1, 2, 4, 1, 1)
    missed, false = right.clone(), right.clone()
    missed[0, :, 0], false[0, :, 1] = -missed[0, :, 0], -false[0, :, 1]
    paid = cross_entropy(right, target)
    more_for_missed, more_for_false = cross_entropy(missed, target) - paid, cross_entropy(false, target) - paid
    assert (more_for_missed / more_for_false).item() == pytest.approx(10, rel=1e-3)


def test_perfect_network_pays_nothing(label):
    logits = torch.cat([1 - label, label], dim=1) * 60 - 30
    assert WeightedCEDiceLoss()(logits, label).item() == pytest.approx(0, abs=1e-4)


def test_weight_must_be_positive():
    with pytest.raises(ValueError, match="`lesion_weight` must be above 0, got 0"):
        WeightedCEDiceLoss(lesion_weight=0)
