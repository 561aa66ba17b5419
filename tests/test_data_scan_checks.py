import gzip
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from csvd.checks import InputError
from csvd.io import check_scan

PIXDIM, QFORM_CODE, MAGIC = 76, 252, 344  # bytes into a NIfTI-1 header


def noise(*shape, dtype=np.float32):
    return np.random.default_rng(0).uniform(1, 100, shape).astype(dtype)


def patch(path, offset, form, *values):
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "LAS", "PSR"])
def test_orientation_and_voxel_size_are_reported(save_scan, axcodes):
    axes = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1)}
    columns = np.array([axes[code] for code in axcodes]).T * (0.5, 0.6, 3)
    info = check_scan(save_scan(affine=nib.affines.from_matvec(columns)))
    assert info.axcodes == tuple(axcodes)
    assert info.shape == (12, 13, 14)
    assert (info.volumes, info.dtype, info.notes) == (1, "int16", ())
    np.testing.assert_allclose(info.voxel_mm, (0.5, 0.6, 3), rtol=1e-6)


def test_oblique_scan_is_accepted(save_scan):
    affine = nib.affines.from_matvec(nib.eulerangles.euler2mat(z=0.3, y=0.2, x=0.1) @ np.diag([0.5, 0.5, 3]), [1, 2, 3])
    np.testing.assert_allclose(check_scan(save_scan(affine=affine)).voxel_mm, (0.5, 0.5, 3), rtol=1e-6)


@pytest.mark.parametrize(("shape", "volumes"), [((9, 10, 11, 3), 3), ((9, 10, 11, 1), 1)])
def test_last_axis_counts_volumes(save_scan, shape, volumes):
    assert check_scan(save_scan(voxels=noise(*shape))).volumes == volumes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, ">i2", ">f4"])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])
def test_real_number_types_are_accepted(save_scan, name, dtype):
    assert check_scan(save_scan(name, noise(9, 9, 9).astype(dtype))).dtype == np.dtype(dtype).newbyteorder("=").name


def test_nifti_2_is_accepted(tmp_path):
    nib.save(nib.Nifti2Image(noise(9, 10, 11), np.eye(4)), tmp_path / "scan.nii")
    assert check_scan(tmp_path / "scan.nii").shape == (9, 10, 11)


def test_missing_orientation_is_noted(save_scan):
    path = patch(save_scan("scan.nii"), QFORM_CODE, "<hh", 0, 0)
    assert "no orientation" in check_scan(path).notes[0]


def save_with_qform(path, qform, sform_code=2, qform_code=1):
    """Save a scan whose sform is that of ``save_scan``, and its qform another."""
    image = nib.Nifti1Image(noise(12, 13, 14), None)
    image.set_qform(qform, qform_code)
    image.set_sform(np.diag([0.8, 0.8, 3, 1]), sform_code)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("codes", [(2, 1), (1, 2), (4, 1)])
def test_qform_that_lies_elsewhere_is_warned_of(tmp_path, codes):
    moved = np.diag([0.8, 0.8, 3, 1])
    moved[:3, 3] = 3, -110, 20
    info = check_scan(save_with_qform(tmp_path / "scan.nii", moved, *codes))
    (warning,) = info.warnings
    assert warning.startswith("'scan.nii' lies 110 mm elsewhere by its qform than by its sform; the sform was used")
    assert "3D Slicer" in warning
    np.testing.assert_allclose(info.voxel_mm, (0.8, 0.8, 3), rtol=1e-6)


def test_turned_qform_is_warned_of_by_the_way_of_its_corners(tmp_path):
    turned = nib.affines.from_matvec(nib.eulerangles.euler2mat(z=np.pi) @ np.diag([0.8, 0.8, 3]))
    (warning,) = check_scan(save_with_qform(tmp_path / "scan.nii", turned)).warnings
    assert "lies 19.2 mm elsewhere" in warning  # twice 12 voxels of 0.8 mm


def test_pixdim_that_an_sform_contradicts_is_warned_of(tmp_path):
    path = save_with_qform(tmp_path / "scan.nii", np.diag([1, 1, 3, 1]), qform_code=0)
    (warning,) = check_scan(path).warnings
    assert "lies 2.4 mm elsewhere by its pixdim than by its sform" in warning  # 12 voxels, each 0.2 mm too long


@pytest.mark.parametrize("shift_mm", [0, 0.07])
@pytest.mark.parametrize("codes", [(2, 1), (0, 1), (1, 0), (0, 0)])
def test_one_orientation_or_two_that_agree_to_a_tenth_of_a_voxel_need_no_warning(tmp_path, codes, shift_mm):
    moved = np.diag([0.8, 0.8, 3, 1])
    moved[0, 3] += shift_mm
    assert check_scan(save_with_qform(tmp_path / "scan.nii", moved, *codes)).warnings == ()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"scan '.*nothing\.nii\.gz' does not exist: check"):
        check_scan(tmp_path / "nothing.nii.gz")


@pytest.mark.parametrize("name", ["scan.mgz", "scan.img", "scan.txt"])
def test_other_suffix_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{name}' is not a \.nii or \.nii\.gz file: convert"):
        check_scan(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 this is a zip" * 100])
def test_other_content_is_named(tmp_path, content):
    (tmp_path / "scan.nii").write_bytes(content)
    with pytest.raises(InputError, match=r"scan\.nii' is not NIfTI: its header lacks the mark"):
        check_scan(tmp_path / "scan.nii")


def test_plain_file_with_a_gz_name_is_named(save_scan):
    path = save_scan("scan.nii")
    path = path.rename(path.with_name("scan.nii.gz"))
    with pytest.raises(InputError, match=r"scan\.nii\.gz' is not a sound gzip file \(Not a gzipped file"):
        check_scan(path)


@pytest.mark.parametrize("kept", [0.01, 0.5, 0.9, 0.999])
def test_truncated_gzip_is_named(save_scan, kept):
    path = save_scan()
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError, match=r"sub-01_swi\.nii\.gz' is truncated or damaged.*Copy it again"):
        check_scan(path)


def test_damaged_gzip_is_named(save_scan):
    path = save_scan()
    patch(path, path.stat().st_size - 8, "<I", 0)  # the checksum
    with pytest.raises(InputError, match=r"not a sound gzip file \(CRC"):
        check_scan(path)


def test_truncated_plain_file_is_named(save_scan):
    path = save_scan("scan.nii")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"scan\.nii' is truncated or damaged"):
        check_scan(path)


@pytest.mark.parametrize(("value", "said"), [(0, "are 0"), (7, "are 7")])
def test_constant_scan_is_named_with_its_value(save_scan, value, said):
    with pytest.raises(InputError, match=rf"sub-01_swi\.nii\.gz' must not be constant, all its voxels {said}\."):
        check_scan(save_scan(voxels=np.full((9, 9, 9), value, np.int16)))


def test_constant_volume_is_named(save_scan):
    voxels = noise(9, 9, 9, 3)
    voxels[..., 1] = 0
    with pytest.raises(InputError, match="volume 1, must not be constant"):
        check_scan(save_scan(voxels=voxels))


def sparse(shape, values):
    voxels = np.zeros(shape, np.float32)
    voxels.flat[: len(values)] = values
    return voxels


@pytest.mark.parametrize(
    ("voxels", "said"),
    [
        (np.arange(40**3).reshape(40, 40, 40) % 10 == 0, "2 different values, and 90.0% of its voxels are 0"),
        (np.arange(12 * 13 * 14).reshape(12, 13, 14) % 15, "15 different values, and 6.7% of its voxels are 0"),
        (sparse((40, 40, 40), np.linspace(0.01, 1, 600)), "601 different values, and 99.1% of its voxels are 0"),
    ],
    ids=["mask", "label map", "probabilities"],
)
def test_mask_or_map_is_no_scan(save_scan, voxels, said):
    with pytest.raises(InputError, match=rf"sub-01_swi\.nii\.gz' must be an image of a head, .*{said}\. Give the scan"):
        check_scan(save_scan(voxels=voxels.astype(np.float32)))


@pytest.mark.parametrize(
    "voxels",
    [np.arange(12 * 13 * 14).reshape(12, 13, 14) % 16, sparse((40, 40, 40), np.linspace(0.01, 1, 660))],
    ids=["16 values", "a small head"],
)
def test_scan_of_few_values_or_much_air_is_accepted(save_scan, voxels):
    check_scan(save_scan(voxels=voxels.astype(np.float32)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_counted_and_the_first_is_named(save_scan, value):
    voxels = noise(9, 10, 11)
    voxels[4, 5, 6] = voxels[4, 5, 7] = voxels[8, 8, 8] = value
    with pytest.raises(InputError, match=r"swi\.nii\.gz' must be finite.* 3 of its 990 voxels.*at voxel \(4, 5, 6\)"):
        check_scan(save_scan(voxels=voxels))


@pytest.mark.parametrize("shape", [(20, 20), (9, 9, 9, 2, 2), (9, 9, 9, 1, 2)])
def test_number_of_dimensions_is_named(save_scan, shape):
    with pytest.raises(InputError, match=rf"must have 3 dimensions, or 4 .*it has {len(shape)}: its shape is"):
        check_scan(save_scan(voxels=noise(*shape)))


@pytest.mark.parametrize("shape", [(4, 4, 4), (20, 20, 1), (20, 20, 2), (20, 7, 7, 3)])
def test_short_axis_is_named(save_scan, shape):
    with pytest.raises(InputError, match=r"swi\.nii\.gz' must have at least 3 slices of 8 x 8 voxels, its shape is \("):
        check_scan(save_scan(voxels=noise(*shape)))


@pytest.mark.parametrize("shape", [(20, 20, 3), (3, 20, 20), (8, 8, 3)])
def test_slabs_of_three_slices_are_read(save_scan, shape):
    assert check_scan(save_scan(voxels=noise(*shape))).shape == shape


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan")])
def test_voxel_size_that_is_not_positive_is_named(save_scan, size):
    path = patch(save_scan("scan.nii"), PIXDIM + 12, "<f", size)
    with pytest.raises(InputError, match=rf"scan\.nii' must have voxel sizes above 0 mm.*0\.8, {size}\]"):
        check_scan(path)


@pytest.mark.parametrize("third", [(0, 0, 0), (0, 0.8, 0), (np.nan, 0, 1)])
def test_affine_without_inverse_is_named(save_scan, third):
    path = save_scan("scan.nii")
    for row, value in enumerate(third):
        patch(path, 280 + 16 * row + 8, "<f", value)  # third column of the sform
    with pytest.raises(InputError, match=r"scan\.nii' must have an affine that can be inverted.*determinant"):
        check_scan(path)


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_complex_and_colour_voxels_are_named(save_scan, dtype):
    with pytest.raises(InputError, match=r"must hold real numbers, its data type is .*Save its magnitude"):
        check_scan(save_scan(voxels=np.ones((9, 9, 9), dtype)))


def test_scale_that_is_not_finite_is_named(save_scan):
    with pytest.raises(InputError, match=r"scan\.nii' has a damaged header \(Valid slope but invalid intercept"):
        check_scan(patch(save_scan("scan.nii"), 112, "<ff", 1, float("nan")))


def test_unknown_data_type_is_named(save_scan):
    with pytest.raises(InputError, match=r"scan\.nii' has a damaged header \(data code 9999"):
        check_scan(patch(save_scan("scan.nii"), 70, "<h", 9999))


def test_absurd_size_is_named(save_scan):
    path = patch(save_scan("scan.nii"), 40, "<4h", 3, 32767, 32767, 32767)
    with pytest.raises(InputError, match=r"scan\.nii' must have at most 1073741824 voxels"):
        check_scan(path)


def test_mask_on_the_grid_of_the_scan_is_accepted(save_scan):
    mask = save_scan("mask.nii.gz", np.ones((12, 13, 14), np.uint8))
    assert check_scan(save_scan(), mask).shape == (12, 13, 14)


def test_mask_of_other_shape_is_named(save_scan):
    mask = save_scan("mask.nii.gz", np.ones((12, 13, 15), np.uint8))
    with pytest.raises(InputError, match=r"mask\.nii\.gz' must have the shape of .*\(12, 13, 15\), not \(12, 13, 14\)"):
        check_scan(save_scan(), mask)


def test_mask_of_other_affine_is_named(save_scan):
    mask = save_scan("mask.nii.gz", np.ones((12, 13, 14), np.uint8), np.diag([-0.8, 0.8, 3, 1]))
    with pytest.raises(InputError, match=r"mask\.nii\.gz' must have the affine of .*corners lie 8\.8 mm apart"):
        check_scan(save_scan(), mask)


@pytest.mark.parametrize("axcodes", ["LAS", "SPR"])
def test_mask_in_another_order_of_axes_is_accepted(save_scan, axcodes):
    mask = nib.Nifti1Image(np.ones((12, 13, 14), np.uint8), np.diag([0.8, 0.8, 3, 1]))
    onto = nib.orientations.axcodes2ornt(axcodes)
    mask = mask.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(mask.affine), onto))
    assert check_scan(save_scan(), save_scan("mask.nii.gz", np.asarray(mask.dataobj), mask.affine))


def test_empty_mask_is_named(save_scan):
    mask = save_scan("mask.nii.gz", np.zeros((12, 13, 14), np.uint8))
    with pytest.raises(InputError, match=r"mask '.*mask\.nii\.gz' must not be empty"):
        check_scan(save_scan(), mask)


def test_bad_mask_is_called_a_mask(save_scan):
    with pytest.raises(InputError, match=r"^mask '.*nothing\.nii' does not exist"):
        check_scan(save_scan(), "nothing.nii")


def test_one_volume_is_in_memory_at_a_time(save_scan):
    path = save_scan("scan.nii", noise(40, 40, 40, 30))
    tracemalloc.start()
    check_scan(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 40**3 * 4  # bytes; the file has 30 volumes of 40^3 * 4


def test_real_scan_with_nan_is_refused(real_scans):
    with pytest.raises(InputError, match=r"phase_with_nan\.nii'"):
        check_scan(real_scans / "megre-crop-magphase" / "phase_with_nan.nii")


def test_tiny_real_scan_is_accepted(real_scans):
    info = check_scan(real_scans / "megre-crop-magphase" / "Mag.nii")
    assert (info.shape, info.volumes) == ((51, 51, 41), 3)


def test_gzip_member_of_no_bytes_is_named(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(InputError, match=r"scan\.nii\.gz' is not NIfTI"):
        check_scan(tmp_path / "scan.nii.gz")
