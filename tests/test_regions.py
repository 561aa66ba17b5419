import pytest
import torch

from csvd.anatomy.regions import REGIONS, mni_regions, region_at


@pytest.mark.parametrize(
    ("name", "point", "region", "side"),
    [
        ("thalamus", (10, -18, 8), "deep", "right"),
        ("putamen", (-26, 2, 1), "deep", "left"),
        ("corpus callosum", (0, 10, 20), "deep", "midline"),
        ("pons", (0, -25, -30), "infratentorial", "midline"),
        ("cerebellar hemisphere", (-30, -65, -40), "infratentorial", "left"),
        ("vermis", (0, -60, -15), "infratentorial", "midline"),
        ("frontal lobe", (-40, 30, 25), "lobar", "left"),
        ("temporal lobe", (50, -20, -25), "lobar", "right"),
        ("occipital pole", (10, -90, -5), "lobar", "right"),
        ("insula", (-39, 5, -2), "lobar", "left"),
        ("parahippocampal gyrus", (20, -35, -10), "lobar", "right"),
    ],
)
def test_known_places_have_their_region_and_side(name, point, region, side):
    assert region_at(torch.tensor([point])) == [(region, side)], name


def test_regions_fill_the_brain_and_nothing_else():
    codes, affine = mni_regions()
    voxel_cm3 = float(affine.diagonal()[:3].prod()) / 1000
    volume = {name: int((codes == code).sum()) * voxel_cm3 for name, code in REGIONS.items()}
    assert codes[0].max() == 0  # left border of the grid lies outside the brain
    assert 1200 < volume["lobar"] < 1600
    assert 150 < volume["deep"] < 300
    assert 180 < volume["infratentorial"] < 300


def test_a_point_outside_the_brain_takes_the_nearest_region():
    assert region_at(torch.tensor([[-90.0, 0.0, 20.0]])) == [("lobar", "left")]
    assert region_at(torch.tensor([[5.0, -60.0, -500.0]])) == [("infratentorial", "right")]


def test_no_points_have_no_regions():
    assert region_at(torch.empty(0, 3)) == []


def test_points_of_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \(N, 3\), got \(3,\)"):
        region_at(torch.zeros(3))
