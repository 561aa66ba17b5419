"""Training targets: lesions that count, drawn equally often."""

import pytest
import torch

from csvd.transforms import LesionTargetd
from csvd.transforms.lesion_target import grow_in_plane, sampling_weight


@pytest.fixture
def label():
    """A lesion of one voxel and one of eight in a volume of 12 x 12 x 8."""
    label = torch.zeros(1, 12, 12, 8)
    label[0, 2, 2, 2] = 1
    label[0, 6:8, 6:8, 4:6] = 2
    return label


def test_lesions_grow_in_plane_only(label):
    grown = grow_in_plane(label)
    assert grown[0, :, :, 2].sum() == 9
    assert grown[0, :, :, 3].sum() == 0
    assert grown.unique().tolist() == [0, 1]


def test_every_lesion_is_drawn_equally_often(label):
    weight = sampling_weight(label, torch.ones_like(label), lesion_share=0.5)
    shares = [weight[label == number].sum().item() for number in (1, 2, 0)]
    assert shares == pytest.approx([0.25, 0.25, 0.5], rel=1e-4)


def test_outside_the_brain_nothing_is_drawn(label):
    mask = torch.ones_like(label)
    mask[0, :, 9:] = 0
    assert sampling_weight(label, mask, lesion_share=0.5)[mask == 0].sum() == 0


def test_scan_without_lesions_gives_brain(label):
    weight = sampling_weight(torch.zeros_like(label), torch.ones_like(label), lesion_share=0.5)
    assert weight.sum().item() == pytest.approx(1, rel=1e-4)
    assert weight.min() == weight.max()


def test_target_and_weight_are_added(label):
    out = LesionTargetd(keys="label")({"label": label, "mask": torch.ones_like(label)})
    assert (out["label"].dtype, out["weight"].dtype) == (torch.uint8, torch.float32)
    assert out["label"].shape == out["weight"].shape == label.shape


def test_share_must_be_a_share():
    with pytest.raises(ValueError, match="`lesion_share` must be between 0 and 1, got 2"):
        LesionTargetd(keys="label", lesion_share=2)


def test_mask_of_other_shape_is_named(label):
    with pytest.raises(ValueError, match=r"cannot make a target of .*\(12, 12, 8\)"):
        LesionTargetd(keys="label")({"label": label, "mask": torch.ones(1, 2, 2, 2)})
