import nibabel as nib
import numpy as np
import pytest
from geometry import STORED, grid_affine, planted_scan

from csvd.io import check_scan


@pytest.fixture(scope="module", params=STORED)
def planted(request):
    return planted_scan(**STORED[request.param])


def first_volume(image):
    return image.get_fdata(dtype=np.float32).reshape(*image.shape[:3], -1)[..., 0]


def test_dark_voxels_lie_around_the_planted_point(planted):
    voxels, sizes = first_volume(planted.image), planted.image.header.get_zooms()[:3]
    index = np.argwhere((voxels > 0) & (voxels < 450))
    world = nib.affines.apply_affine(planted.image.affine, index)
    world = world[np.linalg.norm(world - planted.lesion_world_mm, axis=-1) < 8]
    assert np.abs(world.mean(axis=0) - planted.lesion_world_mm).max() < 0.5 * max(sizes)
    assert len(world) * np.prod(sizes) == pytest.approx(4 / 3 * np.pi * planted.radius_mm**3, rel=0.5)
    np.testing.assert_allclose(
        nib.affines.apply_affine(planted.image.affine, planted.lesion_voxel), planted.lesion_world_mm, atol=1e-4
    )


def test_brain_has_the_same_size_on_every_grid(planted):
    brain = first_volume(planted.image) > 0
    volume_mm3 = brain.sum() * np.prod(planted.image.header.get_zooms()[:3])
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 42 * 50 * 38, rel=0.01)
    assert not any(brain.take([0, -1], axis).any() for axis in range(3))


def test_saved_scan_passes_the_checks(planted, tmp_path):
    nib.save(planted.image, tmp_path / "scan.nii.gz")
    assert check_scan(tmp_path / "scan.nii.gz").axcodes == nib.aff2axcodes(planted.image.affine)


@pytest.mark.parametrize(("axcodes", "signs"), [("RAS", (1, 1, 1)), ("LPS", (-1, -1, 1)), ("LAS", (-1, 1, 1))])
def test_axes_run_as_asked(axcodes, signs):
    np.testing.assert_allclose(grid_affine(axcodes, (1, 1, 2), 0, (8, 8, 8))[:3, :3], np.diag(signs) * (1, 1, 2))


def test_grid_is_turned_by_the_angle():
    affine = grid_affine("RAS", (1, 1, 1), 20, (8, 8, 8))
    assert np.degrees(np.arccos(affine[2, 2])) == pytest.approx(20)
