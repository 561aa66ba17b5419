"""The detector network."""

import pytest
import torch

from csvd.networks import ShallowUNet


@pytest.fixture
def small():
    torch.manual_seed(0)
    return ShallowUNet(features=4, strides=((2, 2, 1), (2, 2, 2))).eval()


def test_default_is_the_papers_size():
    network = ShallowUNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_649_355
    assert [network.encoder.project.out_channels, network.classify.in_channels] == [3, 64]


@pytest.mark.parametrize("strides", [((2, 2, 2), (2, 2, 2)), ((2, 2, 1), (2, 2, 2))])
def test_output_has_the_grid_of_the_input(strides):
    assert ShallowUNet(features=2, strides=strides)(torch.zeros(1, 2, 8, 12, 16)).shape == (1, 2, 8, 12, 16)


def test_weights_start_as_in_the_paper(small):
    weight = ShallowUNet(features=16).encoder.level_3.conv_0.conv.weight
    assert weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert (small.classify.bias == 0.1).all()


def test_far_away_does_not_matter(small):
    image = torch.rand(1, 2, 64, 16, 16)
    changed = image.clone()
    changed[:, :, 60:] += 1
    torch.testing.assert_close(small(image)[:, :, :8], small(changed)[:, :, :8])


def test_scripted_network_gives_the_same(small):
    image = torch.rand(1, 2, 8, 8, 8)
    torch.testing.assert_close(torch.jit.script(small)(image), small(image))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"features": 0}, "`features` must be above 0, got 0"), ({"strides": [[2, 2, 2]]}, "`strides` must name two")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShallowUNet(**arguments)


def test_result_is_the_same_with_any_number_of_threads():
    network, image = ShallowUNet(features=4).eval(), torch.rand(1, 2, 32, 36, 12)
    before, results = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            results.append(network(image))
    torch.set_num_threads(before)
    assert torch.equal(*results)
