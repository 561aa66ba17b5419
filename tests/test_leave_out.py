"""Slices left out: on a classifier whose answer is known to rest on one slice."""

import pytest
import torch

from csvd.inferers import CascadeInferer, SliceBag, SubtypeInferer, leave_out
from csvd.networks import AttentionMIL, SubtypeNetwork

LESION = 3  # the slice that has the only microbleed


class Microbleeds(torch.nn.Module):
    """The feature of a slice: whether it has a microbleed."""

    def forward(self, slices):
        return slices[:, 1].amax(dim=(1, 2))[:, None]


def classifier(attentive=True):
    """Attention, if it is attentive, and the answer, class 1, go to slices with a microbleed; else it is class 0."""
    network = AttentionMIL(num_classes=2, backbone="resnet18", stages=1, features=1)
    network.backbone = Microbleeds()
    with torch.no_grad():
        network.pooling.value.weight.fill_(1)
        network.pooling.value.bias.fill_(0)
        network.pooling.score.weight.fill_(0.1 if attentive else 0)
        network.classify.weight.copy_(torch.tensor([[0.0, 0, 0], [8, 0, 0]]))
        network.classify.bias.copy_(torch.tensor([0.0, -0.5]))
    return network.eval()


@pytest.fixture
def slices():
    scan = torch.rand(1, 2, 8, 8, 6, generator=torch.Generator().manual_seed(0)) + 0.1
    scan[:, 1] = 0
    scan[0, 1, 4, 4, LESION] = 1
    return scan


def left_out(slices, count=3, attentive=True):
    network = classifier(attentive)
    with torch.no_grad():
        return leave_out(network, *network.instances(slices), None, count)


def answer(slices):
    with torch.no_grad():
        return classifier()(slices).softmax(dim=1)[0, 1]


def test_answer_falls_without_the_slice_that_it_rests_on_and_not_without_others(slices):
    top, change = left_out(slices)
    assert top[0] == LESION
    assert change[0] < -0.5
    assert change[1:3].abs().max() < 0.01
    assert change[-2] == pytest.approx(float(change[0]))  # all of the top
    assert abs(change[-1]) < 0.01  # the least


def test_change_is_that_of_the_network_on_the_other_slices(slices):
    top, change = left_out(slices)
    whole = answer(slices)
    for index, one in zip(top.tolist(), change, strict=False):
        others = [k for k in range(slices.shape[-1]) if k != index]
        torch.testing.assert_close(one, answer(slices[..., others]) - whole)
    others = [k for k in range(slices.shape[-1]) if k not in top.tolist()]
    torch.testing.assert_close(change[-2], answer(slices[..., others]) - whole)


def test_attention_that_explains_nothing_is_exposed(slices):
    """Where attention is the same everywhere, the slices of most attention are as good as any others."""
    slices[0, 1, 4, 4, LESION] = 0
    slices[0, 1, 4, 4, 5] = 8
    _, change = left_out(slices, count=2, attentive=False)
    assert change[-2] >= 0 > change[-1]


def test_padding_is_never_shown_and_those_of_most_attention_are_not_those_of_least(slices):
    slices[..., [0, 5]] = 0
    top, change = left_out(slices, count=6)
    assert len(top) == 2  # of four
    assert set(top.tolist()) < {1, 2, 3, 4}
    least = [k for k in (1, 2, 3, 4) if k not in top.tolist()]
    torch.testing.assert_close(change[-2], answer(slices[..., least]) - answer(slices))
    torch.testing.assert_close(change[-1], answer(slices[..., top]) - answer(slices))


def test_a_single_slice_cannot_be_left_out(slices):
    top, change = left_out(slices[..., [LESION]])
    assert top.tolist() == [0]
    assert change.isnan().all()


def test_inferer_tells_which_slices_and_how_the_answer_changes(slices):
    scan = torch.cat([slices[0, :1], slices[0, :1], slices[0, 1:]])
    network = SubtypeNetwork(AttentionMIL(backbone="resnet18", stages=1, features=4), torch.nn.Identity()).eval()
    bag = SliceBag(CascadeInferer(0.5, patch_size=(4, 4, 4)), 0.5, size=(8, 8), max_slices=6)
    out = SubtypeInferer(bag, left_out=2)(scan[None], network)
    assert out["weights"].shape == (1, 6)
    assert (out["top"].shape, out["change"].shape) == ((1, 2), (1, 4))
    assert out["change"].isfinite().all()
    assert torch.equal(out["top"][0], out["weights"][0].argsort(descending=True, stable=True)[:2])


def test_no_slice_to_leave_out_is_refused():
    bag = SliceBag(CascadeInferer(0.5, patch_size=(4, 4, 4)), 0.5)
    with pytest.raises(ValueError, match="`left_out` must be above 0, got 0"):
        SubtypeInferer(bag, left_out=0)
