"""Ensembles that agree, and such that do not."""

import pytest
import torch

from csvd.transforms import FoldDisagreementd


def disagreement(*probabilities):
    item = {f"fold_{k}": torch.tensor(values) for k, values in enumerate(probabilities)}
    return float(FoldDisagreementd(list(item))(item)["disagreement"])


def test_networks_that_agree_have_none():
    assert disagreement([0.2, 0.8], [0.2, 0.8]) == 0


def test_it_is_the_spread_of_the_likeliest_class():
    assert disagreement([0.1, 0.9, 0.0], [0.3, 0.7, 0.0]) == pytest.approx(0.1414, abs=1e-3)


def test_one_network_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        FoldDisagreementd("pred")
