"""The lesion table: a lesion of known place and size is found in it."""

import csv
import math

import numpy as np
import pytest
import torch
from geometry import CENTRE_MM, STORED, grid_affine, planted_scan, sphere_fraction

from csvd.anatomy.regions import mni_regions
from csvd.io import write_candidates, write_lesions
from csvd.lesions import LESION_COLUMNS, Lesion, count_lesions, count_mars, lesion_table
from csvd.transforms import Outlines


def blocks(*boxes, shape=(20, 20, 20)):
    """Instance map whose box n, of slices, has label n + 1, and a probability of 0.8 inside."""
    instances = torch.zeros(1, *shape, dtype=torch.int32)
    for number, box in enumerate(boxes, start=1):
        instances[(0, *box)] = number
    return instances, 0.8 * (instances > 0).float()


@pytest.mark.parametrize("stored", STORED)
def test_centroid_is_within_half_a_voxel_of_the_planted_point(stored):
    scan = planted_scan(**{**STORED[stored], "volumes": 1})
    fraction = sphere_fraction(scan.image.affine, scan.image.shape, scan.lesion_world_mm, scan.radius_mm)
    probability = torch.from_numpy(fraction)[None]
    (lesion,) = lesion_table((probability > 0.1).int(), probability, scan.image.affine)
    voxel = np.linalg.inv(scan.image.affine) @ (lesion.x_mm, lesion.y_mm, lesion.z_mm, 1)
    assert np.abs(voxel[:3] - scan.lesion_voxel).max() < 0.5
    assert np.abs(np.array([lesion.i, lesion.j, lesion.k]) - scan.lesion_voxel).max() <= 0.5 + 1e-6


def test_volume_and_diameter_count_voxels_of_an_oblique_grid():
    instances, probability = blocks((slice(4, 6), slice(4, 7), slice(4, 8)))
    affine = grid_affine("LPS", (0.5, 0.8, 3.0), 20.0, (20, 20, 20))
    (lesion,) = lesion_table(instances, probability, affine)
    assert lesion.volume_mm3 == pytest.approx(24 * 0.5 * 0.8 * 3)
    assert math.pi / 6 * lesion.diameter_mm**3 == pytest.approx(lesion.volume_mm3)


def test_centroid_leans_to_the_probable_side():
    instances, probability = blocks((slice(4, 6), slice(8, 9), slice(8, 9)))
    probability[0, 5, 8, 8] = 0.2
    (lesion,) = lesion_table(instances, probability, np.eye(4))
    assert (lesion.x_mm, lesion.y_mm, lesion.z_mm) == pytest.approx((4.2, 8, 8))
    assert lesion.probability == pytest.approx(0.8)


def test_drawn_lesion_without_probability_has_the_plain_centroid():
    instances, probability = blocks((slice(4, 7), slice(8, 9), slice(8, 9)))
    (lesion,) = lesion_table(instances, 0 * probability, np.eye(4))
    assert (lesion.x_mm, lesion.probability) == pytest.approx((5, 0))


def test_hundred_lesions_keep_their_ids_and_places():
    instances = torch.zeros(1, 40, 40, 4, dtype=torch.int32)
    corners = [(4 * n // 40 * 4, 4 * n % 40) for n in range(100)]
    for number, (x, y) in enumerate(corners, start=1):
        instances[0, x : x + 2, y : y + 2, 1:3] = number
    lesions = lesion_table(instances, (instances > 0).float(), np.eye(4))
    assert [lesion.id for lesion in lesions] == list(range(1, 101))
    assert [(lesion.x_mm, lesion.y_mm) for lesion in lesions] == [(x + 0.5, y + 0.5) for x, y in corners]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="cannot tabulate"):
        lesion_table(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 5), np.eye(4))


def test_lesions_get_the_places_that_the_map_to_mni_says():
    codes, affine = mni_regions()
    instances = torch.zeros_like(codes, dtype=torch.int32)
    for number, point in enumerate([(40, -60, 30), (-26, 0, 0), (-20, -60, -40)], start=1):
        voxel = ((torch.tensor(point) - affine[:3, 3]) / affine.diagonal()[:3]).round().long()
        instances[tuple(voxel)] = number
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([30.0, 20.0, -70.0])
    scan_affine = torch.linalg.inv(shift) @ affine
    lesions = lesion_table(instances[None], instances[None].float(), scan_affine, to_mni=shift)
    places = [(lesion.region, lesion.side, lesion.mars) for lesion in lesions]
    assert places == [
        ("lobar", "right", "parietal"),
        ("deep", "left", "basal ganglia"),
        ("infratentorial", "left", "cerebellum"),
    ]
    assert count_lesions(lesions) == {"total": 3, "lobar": 1, "deep": 1, "infratentorial": 1, "n/a": 0, "large": 0}
    expected = {"parietal": 1, "basal ganglia": 1, "cerebellum": 1}
    assert {name: number for name, number in count_mars(lesions).items() if number} == expected


def test_without_a_map_to_mni_there_is_no_region():
    lesions = lesion_table(*blocks((slice(4, 6),) * 3), np.eye(4), torch.ones(1, 20, 20, 20))
    assert [(lesion.region, lesion.side, lesion.mars) for lesion in lesions] == [("n/a", "n/a", "n/a")]
    assert count_lesions(lesions)["n/a"] == count_mars(lesions)["n/a"] == 1


def test_table_is_read_back(tmp_path):
    lesion = Lesion(7, *CENTRE_MM, 1, 2, 3, 14.137, 3.0, 0.91, "deep", "left", ellipticity=0.1)
    write_lesions([lesion], tmp_path / "lesions.tsv")
    with (tmp_path / "lesions.tsv").open() as file:
        (row,) = csv.DictReader(file, delimiter="\t")
    assert list(row) == list(LESION_COLUMNS)
    assert row["x_mm"] == "4.00"
    assert (row["id"], row["k"], row["volume_mm3"], row["probability"]) == ("7", "3", "14.14", "0.9100")
    assert (row["ellipticity"], row["edge_mm"]) == ("0.10", "n/a")


def outlined(**changes):
    """Outlines of lesions 3 and 1, in that order."""
    known = {"labels": torch.zeros(8, 8, 8), "ids": torch.tensor([3, 1]), "point": torch.arange(2)}
    measured = {
        "core": torch.zeros(2, 3),
        "volume_mm3": torch.tensor([4.0, 600.0]),
        "longest_mm": torch.tensor([2.5, 10.5]),
        "contrast_percent": torch.tensor([60.0, torch.nan]),
        "difference": torch.tensor([0.08125, 431.06]),
        "cnr": torch.tensor([9.0, torch.nan]),
        "slices": torch.tensor([2, 5]),
    }
    return Outlines(**known | measured | changes)


def test_sizes_are_those_of_the_outlines_by_number(tmp_path):
    instances = torch.zeros(1, 8, 8, 8, dtype=torch.int32)
    instances[0, 1, 1, 1], instances[0, 5, 5, 5] = 1, 3
    lesions = lesion_table(instances, instances / 4, np.eye(4), outlines=outlined())
    write_lesions(lesions, tmp_path / "lesions.tsv")
    with (tmp_path / "lesions.tsv").open() as file:
        large, small = csv.DictReader(file, delimiter="\t")
    names = ("id", "volume_mm3", "longest_mm", "slices", "large", "contrast_percent", "difference", "cnr")
    assert [large[name] for name in names] == ["1", "600.00", "10.50", "5", "1", "n/a", "431.1", "n/a"]
    assert [small[name] for name in names] == ["3", "4.00", "2.50", "2", "0", "60.00", "0.08125", "9.00"]
    assert [float(row["diameter_mm"]) for row in (large, small)] == pytest.approx([10.46, 1.97], abs=0.01)


def test_large_lesions_are_counted_apart():
    instances = torch.zeros(1, 8, 8, 8, dtype=torch.int32)
    instances[0, 1, 1, 1], instances[0, 5, 5, 5] = 1, 3
    lesions = lesion_table(instances, instances / 4, np.eye(4), outlines=outlined())
    assert count_lesions(lesions) == {"total": 1, "lobar": 0, "deep": 0, "infratentorial": 0, "n/a": 1, "large": 1}
    assert sum(count_mars(lesions).values()) == 1


def test_table_of_candidates_says_which_were_kept(tmp_path):
    candidates = lesion_table(*blocks((slice(4, 6),) * 3, (slice(8, 9),) * 3), np.eye(4))
    write_candidates(candidates, {2}, tmp_path / "candidates.tsv")
    with (tmp_path / "candidates.tsv").open() as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert list(table[0]) == [*LESION_COLUMNS, "kept"]
    assert [(row["id"], row["kept"]) for row in table] == [("1", "0"), ("2", "1")]


def test_both_steps_are_in_the_table():
    instances, probability = blocks((slice(4, 6),) * 3)
    detected = probability * 0.7
    detected[0, 5, 5, 5] = 0.9
    (lesion,) = lesion_table(instances, probability * 0.4, np.eye(4), torch.ones(1, *instances.shape[1:]), detected)
    assert (lesion.probability, lesion.detector_probability) == pytest.approx((0.4 * float(probability.max()), 0.9))
    assert lesion.ellipticity == pytest.approx(0, abs=1e-6)


def test_empty_table_keeps_its_header(tmp_path):
    nothing = torch.zeros(1, 8, 8, 8)
    write_lesions(lesion_table(nothing, nothing, np.eye(4)), tmp_path / "lesions.tsv")
    assert (tmp_path / "lesions.tsv").read_text() == "\t".join(LESION_COLUMNS) + "\n"
