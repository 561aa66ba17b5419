"""The bundles in MONAI's federated client: a round of training on weights from elsewhere."""

from pathlib import Path

import pytest
import small
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

ROOT = Path(__file__).parents[1] / "bundles"
SMALL = {
    "cmb_detection": {
        "patch_size": [24, 24, 8],
        "margin_size": [30, 30, 10],
        "network_def#detector#features": 2,
        "val_interval": 1000,
    },
    "csvd_classification": {**small.CLASSIFIER, "val_interval": 1000},
}
CONFIGS = {
    "cmb_detection": ["configs/train.json", "configs/train_paper.json"],
    "csvd_classification": ["configs/train.json"],
}
METRICS = {"cmb_detection": "froc", "csvd_classification": "loss"}


@pytest.fixture
def client(name, people, tmp_path):
    """Client of a federation that trains the bundle, a small network."""
    folders = {"output_dir": str(tmp_path / "eval"), "ckpt_dir": str(tmp_path / "models")}
    settings = {"dataset_dir": str(people), **folders, **SMALL[name]}
    client = MonaiAlgo(
        bundle_root=str(ROOT / name),
        config_train_filename=CONFIGS[name],
        train_kwargs=settings,
        config_evaluate_filename=CONFIGS[name],
        eval_kwargs=settings,
        eval_workflow_name="train",
        config_filters_filename=None,
        local_epochs=1,
        send_weight_diff=False,
    )
    client.initialize(extra={ExtraItems.CLIENT_NAME: "site_1", ExtraItems.APP_ROOT: str(ROOT / name)})
    return client


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_round_starts_from_the_servers_weights_and_can_be_evaluated(name, client):
    weights = {key: value.clone() for key, value in client.trainer.network.state_dict().items()}
    trained = [key for key in weights if key.endswith(("weight", "bias")) and not key.startswith("cascade.")]
    for _ in range(2):
        server = ExchangeObject(weights=weights)
        client.train(server)
        sent = client.get_weights(extra={})
        moved = max(float((torch.as_tensor(sent.weights[key]) - weights[key]).abs().max()) for key in trained)
        assert 0 < moved < 0.05  # Adam moves a weight by at most its learning rate an iteration
    result = client.evaluate(server)
    assert METRICS[name] in result.metrics
    client.finalize()
