"""The losses of the cascade, against values worked out by hand."""

import math

import pytest
import torch

from csvd.losses import DistillationLoss, MultiTaskLoss, WeightedCEDiceLoss


@pytest.fixture
def label():
    """One microbleed voxel among four."""
    return torch.tensor([1.0, 0, 0, 0]).reshape(1, 1, 4, 1, 1)


def test_undecided_network_pays_ln2_and_its_dice(label):
    # weighted mean of ln 2 is ln 2; Dice = 2 * 0.5 / (4 * 0.5 + 1)
    loss = WeightedCEDiceLoss()(torch.zeros(1, 2, 4, 1, 1), label)
    assert loss.item() == pytest.approx(math.log(2) + 1 - 1 / 3, abs=1e-4)


@pytest.mark.parametrize(("value", "ratio"), [(1, 10), (3, 30)])
def test_missed_voxel_costs_ten_times_a_false_one_times_its_label(label, value, ratio):
    loss = WeightedCEDiceLoss(lesion_weight=10)
    right = torch.tensor([[-5.0, 5, 5, 5], [5, -5, -5, -5]]).reshape(1, 2, 4, 1, 1)
    missed, false = right.clone(), right.clone()
    missed[0, :, 0], false[0, :, 1] = -missed[0, :, 0], -false[0, :, 1]
    paid, missed_pays, false_pays = (
        loss(logits, label * value) - loss.dice(logits, label) for logits in (right, missed, false)
    )
    assert ((missed_pays - paid) / (false_pays - paid)).item() == pytest.approx(ratio, rel=1e-3)


def test_perfect_network_pays_nothing(label):
    logits = torch.cat([1 - label, label], dim=1) * 60 - 30
    assert WeightedCEDiceLoss()(logits, label).item() == pytest.approx(0, abs=1e-4)


def test_without_dice_an_undecided_network_pays_ln2(label):
    assert WeightedCEDiceLoss(dice_weight=0)(torch.zeros(1, 2, 4, 1, 1), label).item() == pytest.approx(
        math.log(2), abs=1e-6
    )


def test_weights_must_make_sense():
    with pytest.raises(ValueError, match="`lesion_weight` must be above 0, got 0"):
        WeightedCEDiceLoss(lesion_weight=0)
    with pytest.raises(ValueError, match="`dice_weight` must be between 0 and inf, got -1"):
        WeightedCEDiceLoss(dice_weight=-1)


@pytest.mark.parametrize("centre", [1, 0])
def test_teacher_also_pays_for_the_label_of_its_patch_whatever_lies_in_the_patch(label, centre):
    voxels = torch.zeros(1, 2, 4, 1, 1)
    # the classifier says "microbleed" with odds of e^2: it pays ln(1 + e^-2) if there is one, else ln(1 + e^2)
    target = label, torch.tensor([centre])
    pays = MultiTaskLoss()((voxels, torch.tensor([[0.0, 2.0]])), target) - WeightedCEDiceLoss()(voxels, label)
    assert pays.item() == pytest.approx(math.log(1 + math.exp(-2 if centre else 2)), abs=1e-5)


def test_student_pays_for_its_label_and_for_its_teacher():
    # student: 0 and 4 ln 3, at temperature 4 the odds 1 : 3; teacher: even odds
    student, teacher = torch.tensor([[0.0, 4 * math.log(3)]]), torch.zeros(1, 2)
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    cross_entropy = math.log(1 + 3**-4)  # at temperature 1 the odds are 1 : 81
    loss = DistillationLoss()(student, (torch.tensor([1]), teacher))
    assert loss.item() == pytest.approx(0.4 * cross_entropy + 0.6 * divergence, abs=1e-6)


def test_student_like_its_teacher_pays_for_its_label_alone():
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    loss = DistillationLoss(alpha=1)(logits, (torch.tensor([0, 1]), logits))
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).item())


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="`temperature` must be above 0, got 0"):
        DistillationLoss(temperature=0)
