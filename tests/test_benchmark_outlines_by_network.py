"""The benchmark of outlines by network: what it measures of outlines made by hand, and which networks it asks."""

import nibabel as nib
import numpy as np
import pytest
import torch
from measured import load, rows_of

from csvd.networks import MultiTaskTeacher, SliceMaskRCNN

CUBE, SLAB = np.s_[9:12, 9:12, 3:6], np.s_[27:30, 27:30, 4:5]  # the first is all that is seen, the second a third


@pytest.fixture(scope="module")
def benchmark():
    return load("outlines_by_network")


@pytest.fixture
def scan(benchmark):
    """Two lesions that are seen as 27 voxels of 1 mm, the label their middle slice, and one too faint to be seen."""
    shape = (40, 40, 9)
    image = 100 + np.random.default_rng(0).standard_normal(shape)
    change, label = np.zeros(shape), np.zeros(shape, np.int16)
    change[CUBE] = change[27:30, 27:30, 3:6] = 50
    change[9:12, 27:30, 3:6] = 2
    label[9:12, 9:12, 4], label[27:30, 27:30, 4], label[9:12, 27:30, 4] = 1, 2, 3
    spacing, mask = np.ones(3), np.ones(shape, np.uint8)
    return benchmark.Scan("swi", "dark", "3.0 T", image - change, change, label, mask, spacing, tissue=False)


def found_in(scan, **places):
    """An instance map with the voxels of each number."""
    instances = np.zeros(scan.label.shape, int)
    for number, where in places.items():
        instances[where] = int(number[1:])
    return instances


def diameter(volume):
    return (6 * volume / np.pi) ** (1 / 3)


def test_whole_and_third_of_what_is_seen_are_measured(benchmark, scan):
    measured, true = benchmark.Measured(), next(iter(benchmark.targets(scan)))[5]
    assert true == pytest.approx(27, rel=0.15)  # the line between voxels cuts the corners of a cube
    measured.add(scan, found_in(scan, _4=CUBE, _7=SLAB))
    assert measured.found == [
        pytest.approx((1.0, 0.5, 27 / true, abs(diameter(27) - diameter(true)))),
        pytest.approx((0.5, 1.0, 9 / true, diameter(true) - diameter(9))),
    ]


def test_volumes_that_are_given_stand_for_those_of_voxels(benchmark, scan):
    measured, true = benchmark.Measured(), next(iter(benchmark.targets(scan)))[5]
    measured.add(scan, found_in(scan, _4=CUBE), volumes={4: 8 * true})
    assert measured.found == [pytest.approx((1.0, 0.5, 8.0, diameter(true)))]


def test_lesions_are_found_within_5_mm_and_faint_ones_count_nowhere(benchmark, scan):
    measured, none = benchmark.Measured(), benchmark.Measured()
    near, far, faint = np.s_[14:15, 10:11, 4:5], np.s_[28:29, 34:36, 4:5], np.s_[10:11, 28:29, 4:5]
    measured.add(scan, found_in(scan, _1=near, _2=far, _3=faint))
    measured.add(scan, found_in(scan, _1=CUBE))
    assert (measured.scans, measured.lesions, measured.others, len(measured.found)) == (2, 4, 1, 2)
    assert measured.found[0][:2] == (0.0, 0.0)
    none.add(scan, np.zeros(scan.label.shape, int))
    assert (none.lesions, none.others, none.found) == (2, 0, [])


def test_table_has_medians_of_what_was_found(benchmark, capsys):
    found = [(0.9, 0.5, 1.0, 0.1), (0.7, 0.4, 4.0, 0.3), (0.2, 0.1, 2.0, 2.0)]
    benchmark.print_table(
        {
            ("cascade", "its own"): benchmark.Measured(scans=2, lesions=8, others=3, found=found),
            ("teacher", "its own"): benchmark.Measured(scans=2, lesions=8),
        }
    )
    rows = rows_of(capsys.readouterr().out)
    assert rows["cascade"] == ["its own", "3 of 8", "1.5", "0.70", "0.40", "2.00", "0.30"]
    assert rows["teacher"] == ["its own", "0 of 8", "0.0", "n/a", "n/a", "n/a", "n/a"]


def test_networks_are_those_of_the_configs_with_the_weights_that_are_given(benchmark, tmp_path):
    size = {"in_channels": 2, "features": 12, "strides": [[2, 2, 1], [2, 2, 2]]}
    teacher = MultiTaskTeacher(patch_size=(32, 32, 12), **size)
    slices = SliceMaskRCNN(backbone="resnet18", out_channels=64, anchor_sizes=(8, 14, 24, 40))
    for name, network in (("teacher", teacher), ("slices", slices)):
        torch.save(network.state_dict(), tmp_path / f"{name}.pt")
    pipelines = benchmark.pipelines(tmp_path / "slices.pt", tmp_path / "teacher.pt")
    networks = {name: one.parser.get_parsed_content("network") for name, one in pipelines.items()}
    beside, alone = networks["teacher as discriminator"], networks["teacher alone"]
    for mine, theirs in (
        (networks["Mask R-CNN"], slices),
        (beside.detector, networks["cascade"].detector),
        (beside.discriminator, teacher),
        (alone.detector, teacher.segmentor),
        (alone.discriminator, teacher),
    ):
        mine, theirs = mine.state_dict(), theirs.state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_pipeline_draws_and_outlines_what_a_scan_has(benchmark, small_cohort, tmp_path):
    path, mask = small_cohort / "sub-1_swi.nii.gz", tmp_path / "mask.nii.gz"
    scan = nib.load(path)
    nib.save(nib.Nifti1Image((scan.get_fdata() > 0).astype(np.uint8), scan.affine), mask)
    found = benchmark.Pipeline({}, ["paper"])(str(path), str(mask))
    assert found["drawn"].shape == found["pred"].shape == (1, *scan.shape)
    assert found["outlines"].ids.tolist() == found["pred"].unique()[1:].tolist() == [1]
