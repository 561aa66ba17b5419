"""Scans finer than the networks need: resampled, and results brought back."""

import numpy as np
import pytest
import torch
from geometry import planted_scan
from monai.data import MetaTensor

from csvd.transforms import LimitSpacingd


def fine_scan(**options):
    """A scan of 0.5 x 0.5 x 2 mm with one lesion, and the label of the lesion."""
    planted = planted_scan(voxel_mm=(0.5, 0.5, 2.0), shape=(180, 220, 42), **options)
    image = MetaTensor(planted.image.get_fdata(dtype=np.float32)[None], affine=torch.tensor(planted.image.affine))
    return planted, {"image": image, "label": ((image > 0) & (image < 450)).to(torch.int16)}


def transform(**options):
    return LimitSpacingd(("image", "label"), pixdim=0.8, min_pixdim=0.65, mode=("bilinear", "nearest"), **options)


@pytest.mark.parametrize("oblique_degrees", [0, 15])
def test_lesion_stays_at_its_world_point_and_comes_back(oblique_degrees):
    planted, item = fine_scan(oblique_degrees=oblique_degrees)
    limit = transform()
    result = limit(item)
    assert result["image"].pixdim.tolist() == pytest.approx([0.8, 0.8, 2.0], abs=1e-3)
    points = result["label"][0].nonzero().double()
    world = points.mean(dim=0) @ result["label"].affine[:3, :3].T + result["label"].affine[:3, 3]
    assert np.linalg.norm(world.numpy() - planted.lesion_world_mm) < 1
    back = limit.inverse(result)
    assert back["label"].shape == item["label"].shape
    np.testing.assert_allclose(back["label"].affine, item["label"].affine, atol=1e-5)
    overlap = (back["label"] != 0) & (item["label"] != 0)
    assert 2 * overlap.sum() / ((back["label"] != 0).sum() + (item["label"] != 0).sum()) > 0.8


def test_stripped_brain_gets_no_dark_rim():
    image = torch.zeros(1, 41, 41, 9)
    image[:, 8:33, 7:31] = 600
    affine = torch.diag(torch.tensor([0.45, 0.45, 2.0, 1.0]))
    result = LimitSpacingd("image", 0.8, 0.65)({"image": MetaTensor(image, affine=affine)})["image"]
    assert {round(value) for value in result.unique().tolist()} == {0, 600}


def test_coarser_scan_is_left_alone():
    image = MetaTensor(torch.rand(1, 8, 8, 4), affine=torch.diag(torch.tensor([0.65, 0.9, 3.0, 1.0])))
    label = MetaTensor((image > 0.5).to(torch.int16), affine=image.affine)
    result = transform()({"image": image, "label": label})
    assert torch.equal(result["image"], image)
    assert torch.equal(result["label"], label)


def test_item_of_a_server_with_an_image_path_passes():
    _, item = fine_scan()
    assert transform(allow_missing_keys=True)({"image": item["image"], "image_path": "a.nii.gz"})["image"].ndim == 4


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((0.8, 0), "`min_pixdim` must be above 0, got 0"), ((0.5, 0.8), "`pixdim` must be at least `min_pixdim`, 0.8")],
)
def test_bad_lengths_are_named(lengths, message):
    with pytest.raises(ValueError, match=message):
        LimitSpacingd("image", *lengths)
