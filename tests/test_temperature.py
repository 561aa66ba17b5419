"""The temperature of a classifier: fitted on the validation subjects, taken in by the last layer."""

import pytest
import torch

from csvd.engines import Temperature
from csvd.engines.temperature import fit_temperature
from csvd.networks import AttentionMIL, SubtypeNetwork


def test_logits_three_times_too_large_are_divided_by_three():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.1)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SubtypeNetwork(AttentionMIL(backbone="resnet18", stages=1, features=4), torch.nn.Identity()).eval()


def subjects(count):
    """Batches of one subject, as the bundle's data loader gives them."""
    images = torch.rand(count, 1, 2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    batches = [{"image": image, "covariates": torch.tensor([[60.0, 1.0]])} for image in images]
    return [{**batch, "subtype": torch.tensor([k % 2])} for k, batch in enumerate(batches)]


def test_network_is_less_sure_of_the_same_order_of_classes(network, tmp_path):
    with torch.no_grad():
        network.classifier.classify.weight.mul_(40)  # far too sure, of what it does not know
    batches = subjects(20)
    before = network(batches[0]["image"], batches[0]["covariates"])
    Temperature(network, batches, str(tmp_path / "model.pt"), torch.device("cpu")).run()
    after = network(batches[0]["image"], batches[0]["covariates"])
    ratio = before / after
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio))
    assert ratio[0, 0] > 1
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert torch.equal(saved["classifier.classify.weight"], network.classifier.classify.weight)


def test_few_validation_scans_change_nothing(network, tmp_path, caplog):
    before = network.classifier.classify.weight.clone()
    Temperature(network, subjects(19), str(tmp_path / "model.pt"), torch.device("cpu")).run()
    assert torch.equal(network.classifier.classify.weight, before)
    assert not (tmp_path / "model.pt").exists()
    assert "19 validation scans have a class, a temperature needs 20: probabilities stay" in caplog.text
