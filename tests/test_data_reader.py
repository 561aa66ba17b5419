"""The reader keeps the affine that a file states, and names a file that it cannot read."""

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage

from csvd.checks import InputError
from csvd.io import NiftiReader


def save_without_qform(path, shape):
    """Scan far from the origin whose only orientation is its sform."""
    image = nib.Nifti1Image(np.ones(shape, np.float32), None)
    image.set_sform(np.array([[0.5, 0, 0, -104], [0, 0.5, 0, -90], [0, 0, 1, -55], [0, 0, 0, 1]]), code=1)
    image.header["pixdim"][1:5] = 0.5, 0.5, 1, 1
    nib.save(image, path)
    return path, image.affine


def test_4d_file_keeps_its_affine(tmp_path):
    path, affine = save_without_qform(tmp_path / "echoes.nii", (8, 8, 8, 3))
    np.testing.assert_array_equal(LoadImage(reader=NiftiReader)(path).affine, affine)


def test_several_files_are_stacked(tmp_path):
    paths = [save_without_qform(tmp_path / f"{name}.nii", (8, 8, 8))[0] for name in "ab"]
    assert LoadImage(reader=NiftiReader)(paths).shape == (2, 8, 8, 8)


def test_file_of_one_volume_has_three_axes_and_mm(tmp_path):
    path, affine = save_without_qform(tmp_path / "scan.nii", (8, 9, 10, 1, 1))
    image = nib.load(path)
    image.header.set_sform(np.diag([1000, 1000, 1000, 1]) @ affine, 1)
    image.header["pixdim"][1:4] *= 1000
    image.header.set_xyzt_units("micron", "sec")
    nib.save(nib.Nifti1Image(np.ones((8, 9, 10, 1, 1), np.float32), None, image.header), path)
    loaded = LoadImage(reader=NiftiReader)(path)
    assert loaded.shape == (8, 9, 10)
    np.testing.assert_allclose(loaded.affine, affine, rtol=1e-6)
    np.testing.assert_allclose(loaded.pixdim, (0.5, 0.5, 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_damaged_file_is_named_and_no_other_reader_tried(tmp_path, name):
    path, _ = save_without_qform(tmp_path / name, (8, 8, 8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"file '.*{name}' (is truncated|cannot be read)"):
        LoadImage(reader=NiftiReader)(path)
    path.write_bytes(b"PK" * 1000)
    with pytest.raises(InputError, match=rf"file '.*{name}' is not (NIfTI|a sound gzip file)"):
        LoadImage(reader=NiftiReader)(path)
