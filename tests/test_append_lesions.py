"""Microbleeds as a channel."""

import pytest
import torch

from csvd.transforms import AppendLesionsd, append_lesions


def test_label_becomes_a_channel_of_zeros_and_ones():
    label = torch.zeros(1, 4, 4, 4)
    label[0, 1, 2, 3] = 7
    joined = AppendLesionsd("image")({"image": torch.rand(2, 4, 4, 4), "label": label})["image"]
    assert joined.shape == (3, 4, 4, 4)
    assert torch.equal(joined[2:], label / 7)


def test_found_microbleeds_keep_their_probability_and_a_label_goes_before_them():
    found, label = torch.zeros(2, 1, 4, 4, 4)
    found[0, 1, 2, 3], label[0, 3, 3, 3] = 0.4, 1
    item = {"image": torch.rand(2, 4, 4, 4), "found": found}
    assert torch.equal(AppendLesionsd("image")(item)["image"][2:], found)
    assert torch.equal(AppendLesionsd("image")({**item, "label": label})["image"][2:], label)


def test_no_label_is_not_no_microbleed():
    joined = AppendLesionsd("image")({"image": torch.rand(2, 4, 4, 4)})["image"]
    assert joined[2].isnan().all()


def test_label_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape is \(4, 4, 4\), its label's \(4, 4, 5\)"):
        append_lesions(torch.rand(2, 4, 4, 4), torch.zeros(1, 4, 4, 5))
