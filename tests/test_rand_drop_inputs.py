"""Inputs that a classifier has to do without."""

import pytest
import torch

from csvd.transforms import RandDropInputsd


@pytest.fixture
def item():
    return {"image": torch.ones(2, 4, 4, 3), "covariates": torch.tensor([70.0, 1.0])}


def test_nothing_is_dropped_unasked(item):
    out = RandDropInputsd()(item)
    assert out["image"].all()
    assert out["covariates"].tolist() == [70, 1]


def test_microbleeds_alone_are_emptied(item):
    out = RandDropInputsd(lesions=1)(item)
    assert out["image"][0].all()
    assert not out["image"][1].any()
    assert out["covariates"].tolist() == [70, 1]
    assert item["image"].all()


def test_covariates_are_forgotten(item):
    assert RandDropInputsd(covariates=1)(item)["covariates"].isnan().all()


def test_each_is_dropped_as_often_as_asked(item):
    drop = RandDropInputsd(lesions=0.3).set_random_state(seed=0)
    dropped = sum(not drop(item)["image"][1].any() for _ in range(500))
    assert 110 < dropped < 190


@pytest.mark.parametrize("name", ["lesions", "covariates"])
def test_probability_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=name):
        RandDropInputsd(**{name: 1.1})
