"""Training targets: lesions that count the same, drawn equally often."""

import pytest
import torch

from csvd.transforms import LesionTargetd
from csvd.transforms.lesions.lesion_target import equal_lesions, grow_in_plane


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


def test_every_lesion_counts_the_same(label):
    share, _ = equal_lesions(label, lesion_voxels=30)
    assert [share[label == number].sum().item() for number in (1, 2, 0)] == pytest.approx([30, 30, 0])


def test_crops_are_centred_on_lesions_or_the_rest_of_the_brain(label):
    mask = torch.ones_like(label)
    mask[0, :, 9:] = 0
    out = LesionTargetd(keys="label")({"label": label, "mask": mask})
    centres = torch.stack(torch.unravel_index(out["label_fg_indices"], label.shape[1:]), dim=1).tolist()
    assert centres == [[2, 2, 2], [6, 6, 4]]
    rest = out["label_bg_indices"]
    assert len(rest) > 30
    assert (mask.flatten()[rest] == 1).all()
    assert (out["label"].flatten()[rest] == 0).all()


def test_scan_without_lesions_gives_brain(label):
    out = LesionTargetd(keys="label")({"label": torch.zeros_like(label), "mask": torch.ones_like(label)})
    assert len(out["label_fg_indices"]) == 0
    assert len(out["label_bg_indices"]) == label.numel() / 16
    assert out["label"].dtype == torch.float32


def test_lesions_must_count():
    with pytest.raises(ValueError, match="`lesion_voxels` must be above 0, got 0"):
        LesionTargetd(keys="label", lesion_voxels=0)


def test_mask_of_other_shape_is_named(label):
    with pytest.raises(ValueError, match=r"cannot make a target of .*\(12, 12, 8\)"):
        LesionTargetd(keys="label")({"label": label, "mask": torch.ones(1, 2, 2, 2)})
