"""Lesion instances on maps whose clusters are known."""

import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.lesions.lesion_instances import LesionInstances, LesionInstancesd, lesion_instances


@pytest.fixture
def three_lesions():
    """Clusters with peaks of 0.6, 0.9 and 0.7 along the first axis."""
    probability = torch.zeros(1, 12, 5, 5)
    probability[0, 0:2, 2, 2] = torch.tensor([0.55, 0.6])
    probability[0, 4:7, 2, 2] = torch.tensor([0.9, 0.8, 0.6])
    probability[0, 9, 2, 2] = 0.7
    return probability


def test_surest_lesion_is_number_one(three_lesions):
    instances = lesion_instances(three_lesions, threshold=0.5)
    assert instances[0, :, 2, 2].tolist() == [3, 3, 0, 0, 1, 1, 1, 0, 0, 2, 0, 0]
    assert instances.dtype == torch.int32


def test_raising_the_threshold_drops_voxels_and_lesions(three_lesions):
    assert lesion_instances(three_lesions, threshold=0.75)[0, :, 2, 2].tolist() == [0, 0, 0, 0, 1, 1] + [0] * 6


def test_threshold_itself_belongs_to_the_lesion():
    assert lesion_instances(torch.full((1, 2, 2, 2), 0.5), threshold=0.5).unique().tolist() == [1]


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    probability = torch.zeros(1, 4, 4, 4)
    probability[0, [0, 1, 3], [0, 1, 3], [0, 1, 3]] = 1
    assert lesion_instances(probability, threshold=0.5)[0, [0, 1, 3], [0, 1, 3], [0, 1, 3]].tolist() == [1, 1, 2]


def test_map_below_the_threshold_has_no_lesion():
    assert not lesion_instances(torch.full((1, 4, 4, 4), 0.4), threshold=0.5).any()


def test_input_is_not_modified(three_lesions):
    before = three_lesions.clone()
    lesion_instances(three_lesions, threshold=0.5)
    assert torch.equal(three_lesions, before)


def test_dictionary_version_keeps_the_affine(three_lesions):
    affine = torch.diag(torch.tensor([0.5, 0.5, 3, 1], dtype=torch.float64))
    scan = MetaTensor(three_lesions, affine=affine, meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    pred = LesionInstancesd("pred", threshold=0.75)({"pred": scan})["pred"]
    assert pred.max() == 1
    assert torch.equal(pred.affine, affine)
    assert pred.meta["filename_or_obj"] == "sub-01_swi.nii.gz"


def test_threshold_is_a_probability():
    with pytest.raises(ValueError, match=r"`threshold` must be between 0 and 1, got 1\.5"):
        LesionInstances(threshold=1.5)


def test_map_of_two_channels_is_named():
    logits = MetaTensor(torch.zeros(2, 4, 4, 4), meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    with pytest.raises(ValueError, match=r"lesions of image 'sub-01_swi\.nii\.gz': its shape is \(2, 4"):
        LesionInstances()(logits)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree(three_lesions):
    instances = lesion_instances(three_lesions.cuda(), threshold=0.5)
    assert instances.is_cuda
    assert torch.equal(instances.cpu(), lesion_instances(three_lesions, threshold=0.5))
