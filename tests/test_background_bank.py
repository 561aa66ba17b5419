"""The bank: scans on disk from which patches are cut."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from planted import ball

from csvd.engines.background_bank import fill_bank, read_banked, write_background
from csvd.phantom import plant_scan
from csvd.transforms import DarkContrastd
from csvd.transforms.intensity.dark_contrast import dark_contrast

SPACING = (0.9, 0.9, 4.0)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A scan without microbleeds and one with three of its own."""
    folder = tmp_path_factory.mktemp("bank")
    image, mask, affine = ball(noise=0.08)
    scan = plant_scan(image, mask, affine, lesions=3, seed=3, radius_mm=(1.5, 2), depth=(0.8, 0.9))
    for name, volume, label in (("empty", image, None), ("full", scan.image, scan.label)):
        write_background(folder, name, dark_contrast(volume, mask), mask, SPACING, label, inside=500)
    return [read_banked(folder / name) for name in ("empty", "full")]


def test_the_middle_of_a_cut_patch_is_its_point(bank):
    scan = bank[0]
    row, column, index = scan.foci[0]
    assert scan.cut(scan.foci[0], stripped=False)[2, 32, 32] == scan.slices[index, row + 36, column + 36]


def test_own_microbleeds_are_dark_and_foci_lie_away_from_them(bank):
    scan = bank[1]
    assert sorted(set(scan.lesions[:, 3])) == [1, 2, 3]
    for point in scan.lesions:
        assert scan.cut(point[:3], stripped=False)[2, 30:35, 30:35].min() < 0.5
        away = np.linalg.norm((scan.foci - point[:3]) * [0.45, 0.45, 4.0], axis=1)
        assert away.min() > 2


def test_a_stripped_patch_is_0_outside_the_brain(bank):
    scan = bank[0]
    edge = scan.inside[np.argmax(scan.inside[:, 0])]
    mask = scan.brain[edge[2], edge[0] + 4 : edge[0] + 68, edge[1] + 4 : edge[1] + 68]
    assert not scan.cut(edge, stripped=True)[2][~mask].any()


def load(item):
    scan = nib.load(item["image"])
    image = MetaTensor(torch.from_numpy(scan.get_fdata(dtype=np.float32))[None], affine=torch.from_numpy(scan.affine))
    return DarkContrastd("image")({"image": image, "mask": (image > 0).to(torch.uint8)})


@pytest.fixture
def items(tmp_path):
    """Two scans, the second with its slices along the first axis."""
    image, _, affine = ball(noise=0.08)
    nib.save(nib.Nifti1Image(image.numpy(), affine.numpy()), tmp_path / "one.nii")
    turned = affine[:, [2, 0, 1, 3]]
    nib.save(nib.Nifti1Image(image.permute(2, 0, 1).contiguous().numpy(), turned.numpy()), tmp_path / "two.nii")
    return [{"image": str(tmp_path / "one.nii")}, {"image": str(tmp_path / "two.nii")}]


def test_the_bank_holds_scans_with_their_slices_first(items, tmp_path):
    one, two = fill_bank(tmp_path / "bank", items, load)
    np.testing.assert_array_equal(one.slices, two.slices)
    assert one.spacing_mm == two.spacing_mm == 4


def test_what_is_in_the_bank_is_read_again_when_the_file_changes_and_not_for_another_weight(items, tmp_path):
    read = []

    def reading(item):
        read.append(item["image"])
        return load(item)

    fill_bank(tmp_path / "bank", items, reading)
    read.clear()
    fill_bank(tmp_path / "bank", [{**item, "weight": 2} for item in items], reading)
    assert read == []
    scan = nib.load(items[0]["image"])
    nib.save(nib.Nifti1Image(scan.get_fdata(dtype=np.float32) * 0.5, scan.affine), items[0]["image"])
    fill_bank(tmp_path / "bank", items, reading)
    assert read == [items[0]["image"]]


def test_a_scan_that_another_process_writes_meanwhile_stays(items, tmp_path, monkeypatch):
    bank, files = tmp_path / "bank", []

    def after_another(folder, name, *scan):
        write_background(folder, name, *scan)
        files.append((folder / name / "slices.npy").stat().st_ino)
        write_background(folder, name, *scan)

    monkeypatch.setattr("csvd.engines.background_bank.write_background", after_another)
    scans = fill_bank(bank, items, load)
    assert [(bank / scan.name / "slices.npy").stat().st_ino for scan in scans] == files
    with pytest.raises(FileExistsError):
        write_background(bank, scans[0].name, *ball(noise=0.08)[:2], SPACING, None)
    assert len(list(bank.iterdir())) == 2


def test_each_process_begins_at_another_scan(items, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("csvd.engines.background_bank._write", lambda folder, _: read.append(folder.name[:3]))
    monkeypatch.setattr("csvd.engines.background_bank.read_banked", lambda folder: folder.name[:3])
    monkeypatch.setattr("csvd.engines.background_bank.idist.get_world_size", lambda: 2)
    for rank, order in ((0, ["one", "two"]), (1, ["two", "one"])):
        monkeypatch.setattr("csvd.engines.background_bank.idist.get_rank", lambda rank=rank: rank)
        assert fill_bank(tmp_path / "bank", items, load) == ["one", "two"]
        assert read[-2:] == order
