"""Labels from masks, points and boxes, on scans stored in any way."""

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import STORED, planted_scan
from monai.transforms import EnsureChannelFirstd, LoadImaged

from csvd.data import NiftiReader
from csvd.transforms import LesionLabeld

LPS = np.array([-1, -1, 1])


def label_of(path, **annotation):
    """Return the label of a scan that was stored, and its lesions' centroid in RAS+ mm."""
    item = EnsureChannelFirstd("image")(LoadImaged("image", reader=NiftiReader())({"image": str(path), **annotation}))
    out = LesionLabeld("label")(item)
    voxels = out["label"][0].nonzero().double().mean(dim=0).numpy()
    return out, nib.affines.apply_affine(out["label"].affine.numpy(), voxels)


@pytest.fixture(params=STORED)
def planted(request, tmp_path):
    """A scan with a lesion at a known world point, stored in one of several ways."""
    scan = planted_scan(**STORED[request.param])
    nib.save(scan.image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz", scan


def test_point_becomes_the_lesion_there(planted):
    path, scan = planted
    out, centre = label_of(path, points=[list(scan.lesion_world_mm)])
    assert np.abs(centre - scan.lesion_world_mm).max() < max(scan.image.header.get_zooms()[:3])
    assert "points" not in out


def test_box_of_slicer_becomes_the_lesion_in_it(planted):
    path, scan = planted
    box = [*(np.asarray(scan.lesion_world_mm) * LPS + 1), 8.0, 8.0, 8.0]
    out, centre = label_of(path, box=[box], label=[0])
    assert np.abs(centre - scan.lesion_world_mm).max() < max(scan.image.header.get_zooms()[:3])
    assert out["label"].shape[1:] == out["image"].shape[1:]


def test_mask_is_loaded(tmp_path):
    scan = planted_scan()
    nib.save(scan.image, tmp_path / "scan.nii.gz")
    nib.save(nib.Nifti1Image(np.ones(scan.image.shape, np.uint8), scan.image.affine), tmp_path / "mask.nii.gz")
    out, _ = label_of(tmp_path / "scan.nii.gz", label=str(tmp_path / "mask.nii.gz"))
    assert (out["label"] == 1).all()


def test_scan_without_microbleeds_has_an_empty_label(tmp_path):
    nib.save(planted_scan().image, tmp_path / "scan.nii.gz")
    assert not label_of(tmp_path / "scan.nii.gz", points=[])[0]["label"].any()
    assert not label_of(tmp_path / "scan.nii.gz", box=[], label=[])[0]["label"].any()


def test_item_without_annotation_is_left_alone():
    image = torch.zeros(1, 4, 4, 4)
    assert set(LesionLabeld("label", allow_missing_keys=True)({"image": image})) == {"image"}


def test_contrast_is_dark_or_bright():
    with pytest.raises(ValueError, match="`contrast` must be one of 'dark', 'bright', got 'grey'"):
        LesionLabeld("label", contrast="grey")
