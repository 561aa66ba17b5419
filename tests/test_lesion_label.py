"""Labels from masks, points and boxes, on scans stored in any way."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import STORED, planted_scan
from monai.bundle import ConfigParser
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from csvd.checks import InputError, cause_of
from csvd.io import NiftiReader
from csvd.transforms import LesionLabeld

LPS = np.array([-1, -1, 1])
BUNDLES = Path(__file__).parents[1] / "bundles"


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


def save_label(path, scan, onto=None, move=None, lesion=True):
    """Save the lesion of a scan as one voxel, in another order of axes, or moved."""
    label = np.zeros(scan.image.shape[:3], np.uint8)
    label[tuple(scan.lesion_voxel.round().astype(int))] = lesion
    image = nib.Nifti1Image(label, scan.image.affine)
    if onto is not None:
        stored = nib.io_orientation(image.affine)
        image = image.as_reoriented(nib.orientations.ornt_transform(stored, nib.orientations.axcodes2ornt(onto)))
    affine = image.affine.copy()
    affine[:3, 3] += (0, 0, 0) if move is None else move
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    return str(path)


@pytest.mark.parametrize("axcodes", ["LAS", "PIR"])
def test_mask_in_another_order_of_axes_lies_on_the_voxels_of_the_scan(planted, tmp_path, axcodes):
    path, scan = planted
    out, centre = label_of(path, label=save_label(tmp_path / "label.nii.gz", scan, onto=axcodes))
    assert out["label"].nonzero().tolist() == [[0, *scan.lesion_voxel.round().astype(int)]]
    np.testing.assert_array_equal(out["label"].affine, out["image"].affine)
    assert np.abs(centre - scan.lesion_world_mm).max() <= max(scan.image.header.get_zooms()[:3]) / 2 + 1e-4


def test_mask_beside_its_scan_is_refused(planted, tmp_path):
    path, scan = planted
    label = save_label(tmp_path / "label.nii.gz", scan, move=(20, 0, 0))
    with pytest.raises(InputError, match=r"label '.*label.nii.gz' must have the affine of image '.*scan.* 20 mm apart"):
        label_of(path, label=label)


@pytest.mark.parametrize(("shape", "said"), [((96, 112, 80), "80"), ((96, 112, 88, 2), "88, 2")])
def test_mask_of_another_shape_is_refused(tmp_path, shape, said):
    scan = planted_scan()
    nib.save(scan.image, tmp_path / "scan.nii.gz")
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), scan.image.affine), tmp_path / "label.nii.gz")
    with pytest.raises(InputError, match=rf"label '.*' must have the shape of image '.*', it is \(96, 112, {said}\)"):
        label_of(tmp_path / "scan.nii.gz", label=str(tmp_path / "label.nii.gz"))


def test_mask_with_nan_is_refused(tmp_path):
    scan = planted_scan()
    nib.save(scan.image, tmp_path / "scan.nii.gz")
    nib.save(nib.Nifti1Image(np.full((96, 112, 88), np.nan, np.float32), scan.image.affine), tmp_path / "label.nii.gz")
    with pytest.raises(InputError, match=r"label '.*label.nii.gz' must be finite everywhere, 946176 voxels are NaN"):
        label_of(tmp_path / "scan.nii.gz", label=str(tmp_path / "label.nii.gz"))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (
            {"points": [[0, 0, 0], [24, 8, 200]]},
            r"point 2 of image '.*scan.nii.gz'.*\[24\.0, 8\.0, 200\.0\] mm \(RAS\)",
        ),
        ({"points": [[24, float("nan"), 30]]}, "point 1 of image '.*scan.nii.gz' must lie inside it"),
        ({"box": [[-24, -8, -200, 4, 4, 4]]}, r"centre of box 1 of image '.*scan.nii.gz'.*\[24\.0, 8\.0, -200\.0\] mm"),
    ],
)
def test_point_or_box_outside_the_scan_is_refused(tmp_path, annotation, message):
    nib.save(planted_scan().image, tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=message):
        label_of(tmp_path / "scan.nii.gz", **annotation)


@pytest.mark.parametrize("key", ["label", "mask"])
@pytest.mark.parametrize("config", ["train", "inference"])
@pytest.mark.parametrize("bundle", ["cmb_detection", "csvd_classification"])
def test_every_config_refuses_what_lies_beside_its_scan(tmp_path, bundle, config, key):
    scan = planted_scan(volumes=2)
    nib.save(scan.image, tmp_path / "scan.nii.gz")
    moved = save_label(tmp_path / "moved.nii.gz", scan, move=(0, 0, -20))
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / bundle / "configs" / f"{config}.json"))
    parser["bundle_root"] = str(BUNDLES / bundle)
    transforms = parser.get_parsed_content("image_transforms")[:6]  # up to the first that moves voxels
    with pytest.raises(RuntimeError) as raised:
        Compose(transforms)({"image": str(tmp_path / "scan.nii.gz"), key: moved})
    assert str(cause_of(raised.value)).startswith(f"{key} '{moved}' must have the affine of image")


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
