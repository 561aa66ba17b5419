"""Outlines of lesions against the truth, on boxes whose overlap is known."""

import pytest
import torch

from csvd.metrics import lesion_overlaps


def volume(*boxes):
    image = torch.zeros(1, 20, 20, 20)
    for number, (start, stop) in enumerate(boxes, start=1):
        image[0, start:stop, 5:9, 5:9] = number
    return image


def test_equal_outlines_overlap_fully():
    overlaps = lesion_overlaps(volume((2, 6), (10, 14)), volume((2, 6), (10, 14)))
    assert overlaps.dice.tolist() == overlaps.box_iou.tolist() == [1, 1]


def test_half_a_lesion():
    overlaps = lesion_overlaps(volume((4, 8)), volume((2, 6)))
    assert overlaps.dice.tolist() == [0.5]
    assert overlaps.box_iou.tolist() == pytest.approx([1 / 3])


def test_of_several_objects_that_which_shares_most_counts():
    overlaps = lesion_overlaps(volume((2, 3), (3, 6)), volume((2, 6)))
    assert overlaps.dice.tolist() == pytest.approx([2 * 3 / 7])


def test_lesion_that_nothing_meets_has_none():
    overlaps = lesion_overlaps(volume((10, 14)), volume((2, 6)))
    assert overlaps.dice.tolist() == overlaps.box_iou.tolist() == [0]


def test_no_lesion_gives_no_row():
    assert len(lesion_overlaps(volume((2, 6)), volume()).dice) == 0


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="its label's"):
        lesion_overlaps(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 5))
    with pytest.raises(ValueError, match=r"it needs to be \(1, H, W, D\)"):
        lesion_overlaps(torch.zeros(2, 4, 4, 4), torch.zeros(2, 4, 4, 4))
