import pytest
import torch
from monai.data import MetaTensor
from planted import ball
from scipy import ndimage
from test_patch_detector import Darkness

from csvd.inferers.patch_detector import Detections
from csvd.inferers.patch_inferer import PatchInferer, draw_detections
from csvd.phantom.planting_scan import plant_scan
from csvd.transforms.close_mask import CloseMaskd
from csvd.transforms.dark_contrast import DarkContrastd

SPACING = (0.6, 0.6, 4.0)


@pytest.fixture(scope="module")
def scan():
    """Image and mask, (1, 2, H, W, D), with three microbleeds, and their label."""
    image, mask, affine = ball((96, 96, 12), SPACING)
    planted = plant_scan(image, mask, affine, lesions=3, seed=3, radius_mm=(1.5, 1.5), depth=(0.8, 0.8))
    data = {"image": MetaTensor(planted.image[None], affine=affine), "mask": MetaTensor(mask[None], affine=affine)}
    data = CloseMaskd("mask")(DarkContrastd("image")(data))
    return MetaTensor(torch.cat([data["image"], data["mask"].float()])[None], affine=affine), planted.label


def test_maps_show_each_microbleed_once(scan):
    inputs, label = scan
    maps = PatchInferer()(inputs, Darkness())
    parts, count = ndimage.label(maps[0, 1].numpy() > 0.9)
    assert maps.shape == (1, 2, 96, 96, 12)
    assert count == 3
    assert {int(parts[(label == number).numpy()].max()) for number in (1, 2, 3)} == {1, 2, 3}
    assert (maps[0, 0] > 0).equal(maps[0, 1] > 0)
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_a_scan_in_another_orientation_gives_the_same_maps(scan):
    inputs, _ = scan
    order = [2, 0, 1]
    affine = inputs.affine.clone()
    affine[:, :3] = inputs.affine[:, order]
    turned = MetaTensor(inputs.as_tensor().permute(0, 1, *(2 + k for k in order)), affine=affine)
    maps, other = (PatchInferer()(part, Darkness()).as_tensor() for part in (inputs, turned))
    torch.testing.assert_close(other, maps.permute(0, 1, *(2 + k for k in order)))


def test_candidates_do_not_touch():
    image = torch.ones(40, 40, 3)
    image[18:25, 18:25, 1] = 0.2  # one dark patch, in which two candidates lie
    found = Detections(torch.tensor([[20, 19, 1], [20, 23, 1]]), torch.tensor([0.9, 0.4]), torch.ones(2))
    maps = draw_detections(image, found, (0.5, 0.5, 3.0))
    _, count = ndimage.label(maps[1].numpy() > 0)
    assert count == len(maps[1].unique()) - 1
    assert maps[1, 20, 19, 1] == pytest.approx(0.9)


def test_no_candidate_gives_empty_maps(scan):
    inputs, _ = scan
    assert not PatchInferer(lowest=1.0)(inputs, Darkness()).any()


def test_the_lowest_probability_lies_between_0_and_1():
    with pytest.raises(ValueError, match="lowest"):
        PatchInferer(lowest=2)
