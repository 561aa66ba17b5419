"""A run of one scan, made from a config."""

import pytest
from monai.bundle import ConfigParser

from csvd.workflows.single_run import SingleRun

CONFIG = {
    "imports": ["$import torch"],
    "device": "$torch.device('cpu')",
    "network": "$torch.nn.Identity()",
    "dataset": {"_target_": "Dataset", "data": []},
    "preprocessing": {
        "_target_": "Compose",
        "transforms": ["$lambda item: {'image': torch.full((1, 2), item['value'])}"],
    },
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "$torch.utils.data.DataLoader(@dataset)",
        "network": "@network",
        "prepare_batch": "$lambda batch, *others, **more: (batch['image'], None)",
    },
}


@pytest.fixture
def single_run():
    return SingleRun(ConfigParser(CONFIG))


def test_each_run_has_an_evaluator_of_its_own_and_the_same_network(single_run):
    with single_run({"value": 1.0}) as first:
        first.run()
    with single_run({"value": 2.0}) as second:
        second.run()
        [result] = second.state.output
        assert result["pred"].flatten().tolist() == [2.0, 2.0]
    assert first is not second
    assert first.network is second.network


@pytest.mark.parametrize("fails", [False, True])
def test_no_volume_of_a_scan_is_kept(single_run, fails):
    try:
        with single_run({"value": 1.0}) as evaluator:
            evaluator.run()
            assert evaluator.state.batch is not None
            assert evaluator.state.output is not None
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert evaluator.state.batch is None
    assert evaluator.state.output is None
