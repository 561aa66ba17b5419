import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from planted import ball
from scipy import ndimage
from test_patch_detector import Darkness

from csvd.inferers.patch_detector import Detections
from csvd.inferers.patch_inferer import PatchInferer, draw_detections
from csvd.networks import PatchEnsemble
from csvd.phantom.planting_scan import plant_scan
from csvd.transforms.brain.close_mask import CloseMaskd
from csvd.transforms.intensity.dark_contrast import DarkContrastd

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


@pytest.mark.parametrize("axcodes", ["SRA", "LPS", "PIR", "ASL"])
def test_a_scan_in_another_orientation_gives_the_same_maps_to_the_bit(scan, axcodes):
    inputs, _ = scan
    network = PatchEnsemble(features=8).eval()  # whose filters know left from right
    network.bias.fill_(3)
    turned = Orientation(axcodes=axcodes, labels=None)(inputs[0])[None]
    maps, other = (PatchInferer()(part, network) for part in (inputs, turned))
    assert (maps[0, 1] > 0).any()
    assert Orientation(axcodes="RAS", labels=None)(MetaTensor(other[0], affine=turned.affine)).equal(maps[0])


def test_each_candidate_is_a_cluster_unless_it_is_beside_a_surer_one():
    points = torch.tensor([[20, 19, 1], [20, 21, 1], [21, 20, 0], [0, 39, 2]])
    found = Detections(points, torch.tensor([0.9, 0.4, 0.3, 0.2]), torch.tensor([0.3, 0.1, 0.1, 9.0]))
    maps = draw_detections(found, (40, 40, 3))
    _, count = ndimage.label(maps[1].numpy() > 0, torch.ones(3, 3, 3))
    assert count == 3
    assert maps[:, 20, 19, 1].tolist() == pytest.approx([0.6, 0.9])
    assert maps[:, 20, 21, 1].tolist() == pytest.approx([0.2, 0.4])
    assert maps[:, 0, 39, 2].tolist() == pytest.approx([1, 0.2])
    assert maps.count_nonzero() == 6


def test_no_candidate_gives_empty_maps(scan):
    inputs, _ = scan
    assert not PatchInferer(lowest=1.0)(inputs, Darkness()).any()


def test_the_lowest_probability_lies_between_0_and_1():
    with pytest.raises(ValueError, match="lowest"):
        PatchInferer(lowest=2)
