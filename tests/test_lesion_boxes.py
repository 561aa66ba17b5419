"""Boxes that MONAI Label draws in 3D Slicer: they hold the lesion, whatever the orientation."""

import numpy as np
import pytest
import torch
from geometry import grid_affine
from monai.data import MetaTensor

from csvd.transforms import LesionBoxesd
from csvd.transforms.lesions.lesion_boxes import lesion_boxes
from csvd.transforms.lesions.lesion_label import LPS


@pytest.fixture
def instances():
    """A lesion of 2 x 3 x 1 voxels and one of a single voxel."""
    instances = torch.zeros(1, 20, 20, 10, dtype=torch.int32)
    instances[0, 4:6, 7:10, 3] = 1
    instances[0, 12, 12, 8] = 4
    return instances


def test_box_has_the_size_of_the_voxels_in_lps(instances):
    boxes = lesion_boxes(instances, torch.diag(torch.tensor([0.5, 0.8, 3.0, 1.0])))
    expected = [[-2.25, -6.4, 9, 1, 2.4, 3], [-6, -9.6, 24, 0.5, 0.8, 3]]
    torch.testing.assert_close(boxes, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "LAS"])
def test_oblique_box_holds_all_corners_of_the_lesion(instances, axcodes):
    affine = torch.as_tensor(grid_affine(axcodes, (0.5, 0.8, 3.0), 20.0, (20, 20, 10)))
    centre, size = lesion_boxes(instances, affine)[0].split(3)
    corners = np.array([[i, j, k] for i in (3.5, 5.5) for j in (6.5, 9.5) for k in (2.5, 3.5)])
    world = (torch.from_numpy(corners) @ affine[:3, :3].T + affine[:3, 3]) * LPS
    distance = (world - centre).abs()
    torch.testing.assert_close(distance.amax(dim=0), size / 2)


def test_server_is_told_boxes_labels_and_scores(instances):
    probability = (instances == 1) * 0.5 + (instances == 4) * 0.9
    maps = {"pred": MetaTensor(instances, affine=torch.eye(4)), "prob": MetaTensor(probability, affine=torch.eye(4))}
    out = LesionBoxesd("pred", "prob")(maps)
    assert (out["box"].shape, out["label"].tolist()) == ((2, 6), [0, 0])
    assert out["result"]["count"] == 2
    assert out["result"]["scores"] == pytest.approx([0.5, 0.9])


def test_server_gets_a_mask_of_the_one_class_that_it_knows(instances):
    maps = {"pred": MetaTensor(instances, affine=torch.eye(4)), "prob": MetaTensor(instances, affine=torch.eye(4))}
    served = LesionBoxesd("pred", "prob")(maps | {"image_path": "scan.nii.gz"})
    torch.testing.assert_close(served["pred"].as_tensor(), (instances > 0).int())
    assert served["result"]["count"] == 2
    assert LesionBoxesd("pred", "prob")(maps)["pred"].max() == 4


def test_no_lesion_is_no_box(instances):
    out = LesionBoxesd("pred", "prob")({"pred": instances * 0, "prob": instances * 0.0})
    assert (out["box"].shape, out["label"].shape) == ((0, 6), (0,))
    assert out["result"] == {"count": 0, "scores": [], "boxes_cccwhd_lps_mm": []}
