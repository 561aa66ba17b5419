"""Maps have the header of their scan, whatever kind of NIfTI it is."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from csvd.handlers.result_writer import save_map
from csvd.io.nifti import load_nifti
from csvd.lesions.record import _input

AFFINE = np.array([[-0.8, 0, 0, 10], [0, 0.8, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
VALUES = np.random.default_rng(0).integers(0, 9, (12, 13, 14)).astype(np.uint8)


def save(path, kind, unit, factor, endianness, shape):
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    header.set_xyzt_units(unit, "sec")
    image = kind(np.ones(shape, np.int16), np.diag([factor] * 3 + [1]) @ AFFINE, header)
    image.set_qform(image.affine, 1)
    image.header["descrip"] = "A name"
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1000), ("meter", 0.001)])
@pytest.mark.parametrize("shape", [(12, 13, 14), (12, 13, 14, 1, 1), (12, 13, 14, 3)])
def test_map_lies_on_the_voxels_of_its_scan(tmp_path, kind, endianness, unit, factor, shape):
    path = save(tmp_path / "scan.nii.gz", kind, unit, factor, endianness, shape)
    scan, stored = load_nifti(path), nib.load(path)
    save_map(MetaTensor(torch.from_numpy(VALUES)[None]), np.uint8, scan, tmp_path / "map.nii.gz", "csvd")
    result = nib.load(tmp_path / "map.nii.gz")
    assert type(result) is kind
    np.testing.assert_array_equal(np.asanyarray(result.dataobj), VALUES)
    for field in ("srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x", "sform_code", "qform_code", "xyzt_units"):
        np.testing.assert_array_equal(result.header[field], stored.header[field])
    np.testing.assert_array_equal(result.header["pixdim"][:4], stored.header["pixdim"][:4])
    assert result.header["descrip"] == b"csvd"
    np.testing.assert_allclose(load_nifti(tmp_path / "map.nii.gz").affine, AFFINE, rtol=1e-6)


def test_record_has_the_voxel_size_that_was_used(tmp_path):
    image = nib.Nifti1Image(np.ones((12, 13, 14), np.int16), AFFINE)
    image.header["pixdim"][1:4] = 1
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), tmp_path / "scan.nii")
    assert _input(load_nifti(tmp_path / "scan.nii"), [])["voxel_mm"] == [0.8, 0.8, 3.0]
