"""Turns of volumes: the same way round whatever the order of storage, and back."""

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from csvd.planes import Turn, slice_axis

AXIAL = torch.diag(torch.tensor([0.5, 0.6, 4.0, 1.0], dtype=torch.float64))
SAGITTAL = torch.diag(torch.tensor([4.0, 0.5, 0.6, 1.0], dtype=torch.float64))


@pytest.mark.parametrize(("affine", "shape"), [(AXIAL, (5, 6, 3)), (SAGITTAL, (6, 3, 5))])
@pytest.mark.parametrize("axcodes", ["RAS", "LAS", "LPS", "PIR", "ASL", "SRP"])
def test_a_volume_is_turned_the_same_way_round_in_any_orientation_and_back(affine, shape, axcodes):
    upright = MetaTensor(torch.arange(90.0).reshape(1, 5, 6, 3), affine=affine)
    scan = Orientation(axcodes=axcodes, labels=None)(upright)
    turn = Turn.of(scan)
    assert turn.there(scan.as_tensor()).equal(Turn(affine).there(upright.as_tensor()))
    assert turn.there(scan.as_tensor()).shape[1:] == shape
    assert turn.back(turn.there(scan.as_tensor())).equal(scan.as_tensor())
    points = torch.stack([scan[0] == value for value in (3, 41, 88)]).nonzero()[:, 1:]
    turned = turn.points_there(points, scan.shape[1:])
    assert turn.there(scan.as_tensor())[0][tuple(turned.T)].tolist() == [3, 41, 88]
    assert turn.points_back(turned, scan.shape[1:]).equal(points)
    assert turn.spacing == Turn(affine).spacing
    assert slice_axis(turn.spacing) == 2


def test_an_oblique_scan_is_turned_by_its_nearest_axes():
    tilt = torch.tensor([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]], dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = tilt @ torch.diag(torch.tensor([-0.5, 0.5, 4.0], dtype=torch.float64))
    turn = Turn(affine)
    assert (turn.axes, turn.flipped) == ([0, 1, 2], [0])
    assert turn.spacing == pytest.approx((0.5, 0.5, 4))


def test_without_an_affine_voxels_are_of_1_mm():
    assert Turn.of(torch.zeros(1, 2, 3, 4)).spacing == (1, 1, 1)
