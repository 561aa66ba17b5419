"""The reader keeps the affine that a file states."""

import nibabel as nib
import numpy as np
from monai.transforms import LoadImage

from csvd.data import NiftiReader


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
