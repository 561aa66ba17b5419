"""Attention MIL: bags of any length, what stands in for what is not known, weights of RGB networks."""

import pytest
import torch
import torchvision

from csvd.networks.attention_mil import AttentionMIL, AttentionPooling


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return AttentionMIL(backbone="resnet18", features=16).eval()


@pytest.fixture
def scan():
    return torch.randn(1, 2, 32, 32, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("gated", [False, True])
def test_attention_is_a_share_of_what_is_present(gated):
    torch.manual_seed(0)
    instances = torch.randn(2, 4, 6)
    is_real = torch.tensor([[True, True, True, True], [True, False, True, False]])
    bag, weight = AttentionPooling(6, gated=gated)(instances, is_real)
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(2))
    assert (weight[1, [1, 3]] == 0).all()
    torch.testing.assert_close(bag[1], weight[1, 0] * instances[1, 0] + weight[1, 2] * instances[1, 2])


def test_padding_changes_nothing(network, scan):
    padded = torch.cat([scan, torch.zeros(1, 2, 32, 32, 3)], dim=-1)
    logits, weight = network.attend(scan)
    with_padding, longer = network.attend(padded)
    torch.testing.assert_close(with_padding, logits)
    torch.testing.assert_close(longer[:, :5], weight)
    assert (longer[:, 5:] == 0).all()


def test_a_batch_gives_what_its_scans_give(network, scan):
    short = torch.cat([scan[..., :2], torch.zeros(1, 2, 32, 32, 3)], dim=-1)
    covariates = torch.tensor([[70.0, 1.0], [50.0, 0.0]])
    both = network(torch.cat([scan, short]), covariates)
    torch.testing.assert_close(both[1:], network(scan[..., :2], covariates[1:]), rtol=1e-4, atol=1e-5)


def test_what_is_not_known_is_as_the_mean(network, scan):
    mean = torch.stack([network.age_mean, network.sex_mean])[None]
    expected = network(scan, mean)
    torch.testing.assert_close(network(scan), expected)
    torch.testing.assert_close(network(scan, torch.full((1, 2), torch.nan)), expected)
    assert not torch.allclose(network(scan, torch.tensor([[90.0, torch.nan]])), expected)


def test_an_empty_scan_still_has_an_answer(network):
    logits, weight = network.attend(torch.zeros(1, 2, 32, 32, 4))
    assert logits.isfinite().all()
    assert weight[0].tolist() == [1, 0, 0, 0]


def test_slices_are_described_by_1024_numbers_and_two_more():
    network = AttentionMIL()
    assert network.classify.in_features == 1026
    assert network.backbone.fc[0].in_features == 2048  # ResNet-50


def test_weights_of_an_rgb_network_carry_over(tmp_path):
    torch.manual_seed(0)
    trained = torchvision.models.resnet18()
    torch.save(trained.state_dict(), tmp_path / "rgb.pt")
    network = AttentionMIL(backbone="resnet18", backbone_weights=str(tmp_path / "rgb.pt"))
    grey = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(
        network.backbone.conv1(grey.expand(1, 2, 32, 32)), trained.conv1(grey.expand(1, 3, 32, 32))
    )
    torch.testing.assert_close(network.backbone.layer4[1].conv2.weight, trained.layer4[1].conv2.weight)


def test_torchscript_gives_the_same(network, scan):
    script = torch.jit.script(network)
    torch.testing.assert_close(script(scan), network(scan))
    covariates = torch.tensor([[70.0, torch.nan]]).expand(len(scan), -1)
    torch.testing.assert_close(script(scan, covariates), network(scan, covariates))


def test_pooling_by_the_maximum_keeps_what_is_small():
    features = torch.zeros(1, 4, 8, 10)
    features[0, 2, 3, 4] = 1
    pooled = AttentionMIL(backbone="resnet18", stages=1, features=8, pool="max").backbone.avgpool(features)
    assert pooled.flatten().tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(("name", "value"), [("backbone", "vgg16"), ("pool", "median")])
def test_unknown_backbone_or_pooling_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be one of .* got '{value}'"):
        AttentionMIL(**{name: value})
