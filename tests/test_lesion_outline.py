"""Tests of outlines of lesions, on balls whose size, place and contrast are known."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from csvd.checks import InputError
from csvd.transforms import LesionOutlined, Outlines, outline_lesions

SPACING = (0.5, 0.5, 1.0)
SHAPE = (64, 64, 15)
DEPTH, NOISE = 0.6, 30.0


def scan(centres, radius_mm, spacing=SPACING, shape=SHAPE, noise=NOISE, seed=0):
    """Return an image of tissue at 1000 with dark balls, the voxels of their centres, and a label."""
    factor = [max(1, round(mm / 0.2)) for mm in spacing]
    axes = [((np.arange(n * f) + 0.5) / f - 0.5 - n // 2) * mm for n, f, mm in zip(shape, factor, spacing, strict=True)]
    axes = [axis.astype(np.float32) for axis in axes]
    image, label = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int32)
    for number, centre in enumerate(centres, start=1):
        x, y, z = (np.square(axis - c) for axis, c in zip(axes, centre, strict=True))
        ball = (x[:, None, None] + y[:, None] + z) <= radius_mm**2
        cover = ball.reshape(*(side for n, f in zip(shape, factor, strict=True) for side in (n, f))).mean(
            axis=(1, 3, 5)
        )
        image = np.maximum(image, cover)
        label[cover >= 0.5 * min(1, cover.max())] = number
    image = 1000 * (1 - DEPTH * image) + noise * np.random.default_rng(seed).standard_normal(shape)
    points = [[round(c / mm) + n // 2 for c, mm, n in zip(one, spacing, shape, strict=True)] for one in centres]
    return torch.from_numpy(image.astype(np.float32)), torch.tensor(points), torch.from_numpy(label)


def dice(one, other):
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def count(centres, radius_mm, points=None, **kwargs):
    image, all_points, _ = scan(centres, radius_mm, **kwargs)
    return len(outline_lesions(image, all_points[:points], SPACING, "dark").ids)


@pytest.mark.parametrize("radius_mm", [1.0, 1.5, 2.5, 4.0])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 1.0), (0.8, 0.8, 0.8)])
def test_diameter_volume_and_outline_are_those_of_the_ball(radius_mm, spacing):
    image, points, label = scan([(0.1, -0.2, 0.1)], radius_mm, spacing)
    found = outline_lesions(image, points, spacing, "dark")
    assert found.diameter_mm.item() == pytest.approx(2 * radius_mm, abs=0.35)
    assert found.longest_mm.item() == pytest.approx(2 * radius_mm, abs=0.4)
    assert dice(found.labels > 0, label > 0) >= 0.8
    assert not found.large.any()


def test_found_diameters_grow_with_the_true_ones():
    true = np.linspace(1.5, 8, 8)
    found = [
        outline_lesions(*scan([(0, 0, 0)], size / 2, (0.5, 0.5, 0.8), (64, 64, 25))[:2], (0.5, 0.5, 0.8), "dark")
        for size in true
    ]
    slope = np.polyfit(true, [one.diameter_mm.item() for one in found], 1)[0]
    assert slope == pytest.approx(1, abs=0.1)


def test_a_thick_slice_gives_its_area_times_its_distance():
    spacing = (0.45, 0.45, 4.0)
    image, points, _ = scan([(0, 0, 0)], 1.2, spacing, (64, 64, 5))
    found = outline_lesions(image, points, spacing, "dark")
    assert found.slices.tolist() == [1]
    assert found.longest_mm.item() == pytest.approx(2.2, abs=0.4)
    assert found.volume_mm3.item() == pytest.approx(np.pi * found.longest_mm.item() ** 2 / 4 * 4, rel=0.2)


def test_contrast_and_contrast_to_noise_are_those_of_the_core():
    image, points, _ = scan([(0, 0, 0)], 2.5)
    found = outline_lesions(image, points, SPACING, "dark")
    assert found.contrast_percent.item() == pytest.approx(100 * DEPTH, abs=6)  # the darkest voxel, with its noise
    assert found.difference.item() == pytest.approx(1000 * DEPTH, abs=60)
    assert found.cnr.item() == pytest.approx(1000 * DEPTH / NOISE, rel=0.3)


def test_bright_lesions_on_a_background_of_zero_have_no_percentage():
    image, points, label = scan([(0, 0, 0)], 2.0)
    found = outline_lesions((1000 - image) * 1e-3, points, SPACING, "bright")
    assert dice(found.labels > 0, label > 0) > 0.85
    assert found.contrast_percent.isnan().all()
    assert found.difference.item() == pytest.approx(DEPTH, abs=0.06)


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1)])
def test_slices_may_lie_along_any_axis(order):
    spacing = (0.5, 0.5, 2.0)
    image, points, _ = scan([(0, 0, 0), (6, 3, 2)], 1.8, spacing)
    one = outline_lesions(image, points, spacing, "dark")
    turned = outline_lesions(image.permute(order), points[:, order], [spacing[k] for k in order], "dark")
    assert dice(turned.labels > 0, one.labels.permute(order) > 0) > 0.95  # rays begin along another axis
    assert turned.volume_mm3.tolist() == pytest.approx(one.volume_mm3.tolist(), rel=0.05)


def test_the_unit_of_the_scan_does_not_matter():
    image, points, _ = scan([(0, 0, 0)], 1.8)
    one, other = (outline_lesions(image * scale, points, SPACING, "dark") for scale in (1, 1e-4))
    assert torch.equal(one.labels, other.labels)
    assert other.cnr.item() == pytest.approx(one.cnr.item(), rel=1e-3)


def test_a_point_beside_the_core_gives_the_same_outline():
    image, points, _ = scan([(0, 0, 0)], 1.8)
    one, other = (
        outline_lesions(image, points + torch.tensor(step), SPACING, "dark") for step in ((0, 0, 0), (1, -1, 1))
    )
    assert dice(one.labels > 0, other.labels > 0) > 0.95


def test_bright_fluid_beside_a_lesion_does_not_change_its_size():
    image, points, label = scan([(0, 0, 0)], 1.8)
    image[37:] = torch.where(label[37:] > 0, image[37:], 2000)  # from 0.7 mm beyond its edge
    found = outline_lesions(image, points, SPACING, "dark")
    assert found.longest_mm.item() == pytest.approx(3.6, abs=0.6)
    assert found.contrast_percent.item() == pytest.approx(100 * DEPTH, abs=8)


def test_a_vessel_that_joins_a_lesion_is_cut():
    image, points, label = scan([(0, 0, 0)], 1.8)
    image[:, 31:34, 7] = torch.minimum(image[:, 31:34, 7], torch.tensor(450.0))
    found = outline_lesions(image, points, SPACING, "dark")
    assert found.longest_mm.item() < 6
    assert dice(found.labels == 1, label > 0) > 0.75


def test_a_lighter_middle_belongs_to_the_lesion():
    image, points, _ = scan([(0, 0, 0)], 2.5)
    image[31:34, 31:34, 6:9] = 1000.0
    found = outline_lesions(image, points + torch.tensor([3, 0, 0]), SPACING, "dark")
    assert found.labels[32, 32, 7] == 1
    assert found.longest_mm.item() == pytest.approx(5, abs=0.5)
    assert len(found.ids) == 1


def test_what_lies_outside_the_brain_is_no_part_of_a_lesion():
    image, points, label = scan([(0, 0, 0)], 1.8)
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:30] = False
    found = outline_lesions(image.where(mask, 0), points, SPACING, "dark", mask)
    assert not found.labels[~mask].any()
    assert dice(found.labels[mask] > 0, label[mask] > 0) > 0.85


def test_values_that_are_not_finite_are_outside():
    image, points, label = scan([(0, 0, 0)], 1.8)
    image[:20] = torch.nan
    found = outline_lesions(image, points, SPACING, "dark")
    assert dice(found.labels > 0, label > 0) > 0.85


@pytest.mark.parametrize("apart_mm", [1, 2, 3, 4, 5, 6])
def test_pairs_with_a_saddle_between_them_are_two(apart_mm):
    centres = [(-apart_mm / 2, 0, 0), (apart_mm / 2, 0.2, 0)]
    assert count(centres, 0.4 * apart_mm if apart_mm > 1 else 0.25, shape=(64, 64, 9)) == 2


@pytest.mark.parametrize("apart_mm", [3, 4])
def test_a_neighbour_that_touches_is_found_without_a_point(apart_mm):
    centres = [(-apart_mm / 2, 0, 0), (apart_mm / 2, 0, 0)]
    image, points, _ = scan(centres, 0.5 * apart_mm)
    found = outline_lesions(image, points[:1], SPACING, "dark")
    assert found.ids.tolist() == [1, 2]
    assert found.point.tolist() == [0, 0]
    assert found.volume_mm3[1].item() == pytest.approx(found.volume_mm3[0].item(), rel=0.35)


def test_six_lesions_of_a_cluster_are_six():
    centres = [(3 * np.cos(turn), 3 * np.sin(turn), 0) for turn in np.arange(6) * np.pi / 3]
    assert count(centres, 1.2) == 6


@pytest.mark.parametrize("seed", range(6))
def test_a_dumb_bell_of_noise_is_one(seed):
    image, points, _ = scan([(0, 0, 0)], 2.0, noise=130, seed=seed)
    around = torch.cat([points, points + torch.tensor([2, 0, 0]), points + torch.tensor([-1, 2, 0])])
    assert outline_lesions(image, around, SPACING, "dark").ids.tolist() == [1]


def test_what_is_longer_than_10_mm_is_told():
    image, points, _ = scan([(0, 0, 0)], 5.6)
    assert outline_lesions(image, points, SPACING, "dark").large.tolist() == [True]


def test_each_lesion_has_a_voxel_even_where_nothing_is_seen():
    found = outline_lesions(torch.full(SHAPE, 100.0), torch.tensor([[5, 6, 7]]), SPACING, "dark")
    assert found.labels.sum() == 1
    assert found.volume_mm3.item() == pytest.approx(0.25, rel=0.1)
    assert found.cnr.isnan().all()


def test_no_point_gives_no_lesion():
    found = outline_lesions(torch.zeros(SHAPE), torch.zeros(0, 3), SPACING, "dark")
    assert isinstance(found, Outlines)
    assert not found.labels.any()
    assert len(found.ids) == 0


def test_wrong_arguments_are_told():
    image = torch.zeros(SHAPE)
    with pytest.raises(InputError, match="it needs to be"):
        outline_lesions(image[None], torch.zeros(1, 3), SPACING, "dark")
    with pytest.raises(InputError, match=r"voxel \[64, 0, 0\] lies outside"):
        outline_lesions(image, torch.tensor([[64, 0, 0]]), SPACING, "dark")
    with pytest.raises(InputError, match="its mask's"):
        outline_lesions(image, torch.zeros(1, 3), SPACING, "dark", torch.ones(3, 3, 3))
    with pytest.raises(ValueError, match="`contrast` must be"):
        LesionOutlined("pred", contrast="grey")


def item(centres, radius_mm, blobs):
    """Return an item whose instance map has a small block at each of ``blobs``, and the label."""
    image, points, label = scan(centres, radius_mm)
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    instances = torch.zeros(1, *SHAPE, dtype=torch.int32)
    probability = torch.zeros(1, *SHAPE)
    for number, point in enumerate(points[blobs].tolist(), start=1):
        box = tuple(slice(p - 1, p + 2) for p in point)
        instances[0][box], probability[0][box] = number, 1 - number / 10
    return {
        "scan": MetaTensor(image[None], affine=affine),
        "candidates": MetaTensor(instances, affine=affine),
        "pred": MetaTensor(instances * (instances == 1), affine=affine),
        "prob": MetaTensor(probability, affine=affine),
    }, label


def test_instance_maps_and_probabilities_become_outlines():
    data, label = item([(0, 0, 0), (7, 0, 0)], 2.0, [0, 1])
    out = LesionOutlined("candidates", follow_keys="pred", value_keys="prob")(data)
    assert dice(out["candidates"][0] == 1, label == 1) > 0.85
    assert dice(out["candidates"][0] == 2, label == 2) > 0.85
    assert torch.equal(out["pred"] > 0, out["candidates"] == 1)
    assert torch.equal((out["prob"] - 0.9).abs() < 1e-6, out["candidates"] == 1)
    assert torch.equal((out["prob"] - 0.8).abs() < 1e-6, out["candidates"] == 2)
    assert isinstance(out["candidates"], MetaTensor)
    assert out["candidates"].dtype == torch.int32
    assert out["outlines"].ids.tolist() == [1, 2]
    assert data["candidates"].count_nonzero() == 54


def test_a_neighbour_of_a_lesion_gets_its_probability_and_a_gap_lies_between_them():
    data, _ = item([(-1.4, 0, 0), (1.4, 0, 0)], 1.45, [0])
    out = LesionOutlined("candidates", follow_keys="pred", value_keys="prob")(data)
    assert out["pred"].unique().tolist() == [0, 1, 2]
    assert out["outlines"].point.tolist() == [0, 0]
    clusters = np.unique(out["prob"][0].numpy())
    assert clusters.tolist() == pytest.approx([0, 0.9])
    first, second = (out["prob"][0] > 0) & (out["pred"][0] == 1), (out["prob"][0] > 0) & (out["pred"][0] == 2)
    near = torch.nn.functional.max_pool3d(first[None].float(), 3, 1, 1)[0] > 0
    assert second.any()
    assert not (near & second).any()


@pytest.mark.parametrize(("reach", "numbers"), [(2, [0, 1]), (13, [0, 1, 2])])
def test_what_a_detector_did_not_find_is_added_from_the_voxels_of_a_lesion_alone(reach, numbers):
    data, _ = item([(-2.5, 0, 0), (2.5, 0, 0)], 2.5, [0])
    data["candidates"][0, 27 : 27 + reach, 29:36, 6:9] = 1
    data["pred"] = data["candidates"]
    out = LesionOutlined("candidates", follow_keys="pred", value_keys="prob")(data)
    assert out["pred"].unique().tolist() == numbers
    assert out["outlines"].ids.tolist() == numbers[1:]


def test_of_two_that_are_one_lesion_the_one_that_is_kept_stays():
    data, label = item([(0, 0, 0)], 2.5, [0])
    data["candidates"][0, 35:37, 32, 7], data["prob"][0, 35:37, 32, 7] = 2, 0.5
    data["pred"] = data["candidates"] * (data["candidates"] == 2)
    out = LesionOutlined("candidates", follow_keys="pred", value_keys="prob")(data)
    assert out["candidates"].unique().tolist() == [0, 2]
    assert dice(out["pred"][0] == 2, label == 1) > 0.85
    assert out["outlines"].ids.tolist() == [2]


def test_a_core_far_from_the_middle_of_a_large_lesion_finds_all_of_it():
    image, points, label = scan([(0, 0, 0)], 5.5, shape=(64, 64, 21))
    at_the_end = points + torch.tensor([0, 0, 4])
    image[32, 32, at_the_end[0, 2]] -= 150
    found = outline_lesions(image, torch.cat([at_the_end, points - torch.tensor([0, 0, 4])]), SPACING, "dark")
    assert found.ids.tolist() == [1]
    assert dice(found.labels > 0, label > 0) > 0.9


@pytest.mark.parametrize("axcodes", ["LPS", "SAR", "PIL"])
def test_outlines_are_the_same_in_whatever_order_a_scan_is_stored(axcodes):
    data, _ = item([(0, 0, 0), (7, 0, 3)], 2.0, [0, 1])
    turn = Orientation(axcodes, labels=None)
    there = LesionOutlined("candidates", value_keys="prob")({key: turn(value) for key, value in data.items()})
    here = LesionOutlined("candidates", value_keys="prob")(data)
    for name in ("candidates", "prob"):
        assert torch.equal(there[name], turn(here[name]))
    assert torch.equal(there["outlines"].volume_mm3, here["outlines"].volume_mm3)
    for core, number in zip(there["outlines"].core, there["outlines"].ids, strict=True):
        assert there["candidates"][0][tuple(core)] == number


def test_numbers_with_gaps_stay():
    data, _ = item([(0, 0, 0), (7, 0, 0)], 2.0, [0, 1])
    data["candidates"] = data["candidates"] * 3
    out = LesionOutlined("candidates")(data)
    assert out["candidates"].unique().tolist() == [0, 3, 6]


def test_the_contrast_of_the_item_wins():
    data, label = item([(0, 0, 0)], 2.0, [0])
    data |= {"scan": 1000 - data["scan"], "contrast": "bright"}
    out = LesionOutlined("candidates")(data)
    assert dice(out["candidates"][0] == 1, label == 1) > 0.85


def test_a_scan_without_candidates_stays_empty():
    data, _ = item([(0, 0, 0)], 2.0, [])
    out = LesionOutlined("candidates", follow_keys="pred", value_keys="prob")(data)
    assert not out["candidates"].any()
    assert not out["prob"].any()
    assert len(out["outlines"].ids) == 0
