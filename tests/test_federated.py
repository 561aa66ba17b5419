"""The bundle in MONAI's federated client: a round of training on weights from elsewhere."""

from pathlib import Path

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"


@pytest.fixture
def client(small_cohort, tmp_path):
    """Client of a federation that trains the detector, two features wide."""
    settings = {
        "dataset_dir": str(small_cohort),
        "output_dir": str(tmp_path),
        "patch_size": [24, 24, 8],
        "margin_size": [30, 30, 10],
        "network_def#detector#features": 2,
        "val_interval": 1000,
    }
    client = MonaiAlgo(
        bundle_root=str(BUNDLE),
        config_train_filename="configs/train.json",
        train_kwargs=settings,
        config_evaluate_filename="configs/train.json",
        eval_kwargs=settings,
        eval_workflow_name="train",
        config_filters_filename=None,
        local_epochs=1,
        send_weight_diff=False,
    )
    client.initialize(extra={ExtraItems.CLIENT_NAME: "site_1", ExtraItems.APP_ROOT: str(BUNDLE)})
    return client


@pytest.mark.slow
def test_a_round_starts_from_the_servers_weights_and_can_be_evaluated(client):
    weights = {name: value.clone() for name, value in client.trainer.network.state_dict().items()}
    for _ in range(2):
        server = ExchangeObject(weights=weights)
        client.train(server)
        sent = client.get_weights(extra={})
        moved = max(
            float((torch.as_tensor(sent.weights[name]) - value).abs().max())
            for name, value in weights.items()
            if name.endswith(("weight", "bias"))
        )
        assert 0 < moved < 0.05  # Adam moves a weight by at most its learning rate an iteration
    result = client.evaluate(server)
    assert "froc" in result.metrics
    client.finalize()
