"""Microbleeds as they are found, in a part of a training."""

import pytest
import torch

from csvd.transforms import RandFoundLesionsd


@pytest.fixture
def item():
    image = torch.ones(2, 4, 4, 3)
    found = {"found": torch.full((1, 4, 4, 3), 0.5), "found_chance": torch.tensor([0.7])}
    return {"image": image, "chance": torch.tensor([1.0]), **found}


def test_found_ones_take_the_channel_of_the_true_ones(item):
    out = RandFoundLesionsd(prob=1)(item)
    assert (out["image"][0] == 1).all()
    assert (out["image"][1] == 0.5).all()
    assert out["chance"].item() == pytest.approx(0.7)
    assert set(out) == {"image", "chance"}
    assert (item["image"] == 1).all()


def test_true_ones_stay_and_the_others_are_taken_away(item):
    out = RandFoundLesionsd(prob=0)(item)
    assert (out["image"] == 1).all()
    assert out["chance"] == 1
    assert set(out) == {"image", "chance"}


def test_item_for_which_none_were_looked_for_stays(item):
    del item["found"], item["found_chance"]
    assert (RandFoundLesionsd(prob=1)(item)["image"] == 1).all()


def test_half_of_a_training_has_them(item):
    transform = RandFoundLesionsd().set_random_state(seed=0)
    assert 200 < sum(bool((transform(item)["image"][1] < 1).all()) for _ in range(500)) < 300


def test_probability_out_of_range_is_refused():
    with pytest.raises(ValueError, match="prob"):
        RandFoundLesionsd(prob=1.1)
