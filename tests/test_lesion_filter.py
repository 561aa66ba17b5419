"""Morphological clean-up on lesions of known shape."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from csvd.lesions.properties import edge_distance, lesion_shapes
from csvd.transforms import LesionFilter, LesionFilterd

ANYTHING = {"min_volume_mm3": None, "max_ellipticity": None, "min_edge_mm": None}


@pytest.fixture
def instances():
    """A ball of radius 3 (1), a single voxel (2) and a thread of ten voxels (3), in voxels of 0.8 mm."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 3, indexing="ij"))
    labels = ((grid - 16).norm(dim=0) <= 3).int()[None]
    labels[0, 4, 16, 16] = 2
    labels[0, 25, 8:18, 25] = 3
    return MetaTensor(labels, affine=torch.diag(torch.tensor([0.8, 0.8, 0.8, 1])))


@pytest.fixture
def brain():
    """Brain from the third voxel of the first axis on; the volume cuts it on all other sides."""
    brain = torch.ones(1, 32, 32, 32)
    brain[:, :2] = 0
    return brain


def numbers(instances):
    return instances.unique().tolist()


def test_shapes_are_what_they_were_drawn_as(instances, brain):
    shapes = lesion_shapes(instances, instances.affine, brain)
    assert shapes.ids.tolist() == [1, 2, 3]
    assert shapes.volume_mm3[1:].tolist() == pytest.approx([0.512, 5.12])
    assert shapes.ellipticity.tolist() == pytest.approx([0, 0, 0.9], abs=1e-3)
    assert shapes.edge_mm.tolist() == pytest.approx([0.8 * 15, 0.8 * 3, 0.8 * 24])


def test_distance_to_the_edge_is_that_of_a_distance_transform():
    rng, size_mm = np.random.default_rng(0), np.array([0.5, 0.7, 4.0])
    inside = ndimage.gaussian_filter(rng.random((30, 26, 12)), 2) > 0.49
    points = rng.integers(0, inside.shape, (200, 3))
    expected = ndimage.distance_transform_edt(inside, sampling=size_mm)[tuple(points.T)]
    np.testing.assert_allclose(edge_distance(inside, points, size_mm), expected, atol=1e-9)


def test_brain_that_fills_the_volume_has_no_edge(instances, brain):
    assert lesion_shapes(instances, instances.affine, torch.ones_like(brain)).edge_mm.isnan().all()


def test_single_voxel_is_as_long_as_its_voxel():
    one = torch.zeros(1, 5, 5, 5, dtype=torch.int32)
    one[0, 2, 2, 2] = 1
    shapes = lesion_shapes(one, torch.diag(torch.tensor([1.0, 1, 4, 1])))
    assert shapes.ellipticity.item() == pytest.approx(0.75)


def test_oblique_grid_changes_nothing(instances, brain):
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[0.94, -0.342], [0.342, 0.94]])
    straight = lesion_shapes(instances, instances.affine, brain)
    oblique = lesion_shapes(instances, turn @ instances.affine.float(), brain)
    for name in ("volume_mm3", "ellipticity", "edge_mm"):
        torch.testing.assert_close(getattr(oblique, name), getattr(straight, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({}, [0, 1, 2, 3]),
        ({"min_volume_mm3": 2.5}, [0, 1, 3]),
        ({"max_ellipticity": 0.2}, [0, 1, 2]),
        ({"min_edge_mm": 5.0}, [0, 1, 3]),
    ],
)
def test_each_rule_drops_its_lesion(instances, brain, rule, left):
    assert numbers(LesionFilter(**{**ANYTHING, **rule})(instances, brain)) == left


def test_papers_rules_leave_the_ball(instances, brain):
    result = LesionFilterd(keys="pred")({"pred": instances, "mask": brain})["pred"]
    assert numbers(result) == [0, 1]
    assert isinstance(result, MetaTensor)
    torch.testing.assert_close(result.affine, instances.affine)


def test_without_a_mask_no_edge_is_too_close(instances):
    assert numbers(LesionFilterd(keys="pred", min_volume_mm3=None)({"pred": instances})["pred"]) == [0, 1, 2]


def test_empty_map_stays_empty(brain):
    assert numbers(LesionFilter()(torch.zeros(1, 32, 32, 32), brain)) == [0]


def test_ellipticity_is_a_share():
    with pytest.raises(ValueError, match="`max_ellipticity` must be between 0 and 1, got 2"):
        LesionFilter(max_ellipticity=2)


def test_mask_of_other_shape_is_named(instances):
    with pytest.raises(ValueError, match=r"cannot measure the lesions of .*\(2, 2, 2\)"):
        LesionFilter()(instances, torch.ones(1, 2, 2, 2))
