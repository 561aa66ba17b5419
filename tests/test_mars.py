"""Regions of the Microbleed Anatomical Rating Scale: known places have their names."""

import pytest
import torch

from csvd.anatomy.mars import MARS, mars_at, mni_mars
from csvd.anatomy.regions import REGIONS, mni_regions, region_at


@pytest.mark.parametrize(
    ("place", "point", "mars"),
    [
        ("middle frontal gyrus", (-40, 30, 25), "frontal"),
        ("precentral gyrus", (38, -12, 58), "frontal"),
        ("postcentral gyrus", (-46, -28, 54), "parietal"),
        ("angular gyrus", (46, -62, 36), "parietal"),
        ("precuneus", (6, -60, 42), "parietal"),
        ("middle temporal gyrus", (58, -30, -10), "temporal"),
        ("temporal pole", (-40, 10, -34), "temporal"),
        ("parahippocampal gyrus", (24, -30, -18), "temporal"),
        ("calcarine cortex", (-10, -84, 4), "occipital"),
        ("insular cortex", (-38, 4, -2), "insula"),
        ("putamen", (27, 2, 2), "basal ganglia"),
        ("globus pallidus", (-19, -4, 0), "basal ganglia"),
        ("caudate head", (12, 14, 6), "basal ganglia"),
        ("thalamus", (-12, -18, 8), "thalamus"),
        ("posterior limb", (21, -12, 12), "internal capsule"),
        ("beside the putamen", (33, 0, 4), "external capsule"),
        ("genu", (0, 28, 6), "corpus callosum"),
        ("body", (2, -4, 26), "corpus callosum"),
        ("splenium", (0, -38, 14), "corpus callosum"),
        ("beside the ventricle's body", (24, -30, 26), "deep white matter"),
        ("pons", (0, -26, -30), "brainstem"),
        ("midbrain", (6, -24, -12), "brainstem"),
        ("medulla", (0, -40, -54), "brainstem"),
        ("cerebellar hemisphere", (-30, -65, -40), "cerebellum"),
        ("vermis", (0, -66, -20), "cerebellum"),
    ],
)
def test_known_places_have_their_region(place, point, mars):
    assert mars_at(torch.tensor([point])) == [mars], place


def test_coarse_region_follows_from_that_of_the_scale():
    points = 180 * torch.rand(5000, 3, generator=torch.Generator().manual_seed(0)) - torch.tensor([90.0, 110, 70])
    coarse = [region for region, _ in region_at(points)]
    assert [MARS[name] for name in mars_at(points)] == coarse


def test_every_brain_voxel_has_one_region_and_every_region_voxels():
    mars, codes = mni_mars(), mni_regions()[0]
    assert torch.equal(mars > 0, codes > 0)
    assert mars.unique().tolist() == list(range(len(MARS) + 1))
    assert set(MARS.values()) == set(REGIONS)


def test_sides_mirror_each_other():
    points = torch.tensor([[27.0, 2, 2], [45, -30, 20], [12, -18, 8], [33, 0, 4]])
    assert mars_at(points) == mars_at(points * torch.tensor([-1.0, 1, 1]))


def test_points_of_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \(N, 3\), got \(3,\)"):
        mars_at(torch.zeros(3))
