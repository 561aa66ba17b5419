"""Headers that NiBabel refuses or misreads, and that ITK reads."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from small_bundle import write_scan

from csvd.checks import InputError
from csvd.io import check_scan
from csvd.io.nifti import axes_onto, load_nifti, read_once
from csvd.workflows.detection import detect

SHAPE = (12, 13, 14)
AFFINE = np.array([[0.8, 0, 0, -10], [0, 0.8, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
TURNED = np.array([[-0.8, 0, 0, -10], [0, 0, 3, 20], [0, 0.8, 0, 30], [0, 0, 0, 1]])  # half a turn: a = 0, c = d
VOXELS = np.random.default_rng(0).integers(1, 100, SHAPE).astype(np.int16)


def header_of(kind=nib.Nifti1Header, endianness="<", shape=SHAPE, affine=AFFINE, sform_code=1, **fields):
    header = kind(endianness=endianness)
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_sform(affine, sform_code)
    header.set_qform(affine, 1)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"], header["magic"] = header.single_vox_offset, header.single_magic
    header["scl_slope"] = 1
    for field, value in fields.items():
        header[field] = value
    return header


def save(path, header, extension=bytes(4)):
    voxels = VOXELS.astype(header.get_data_dtype()).tobytes(order="F")
    path.write_bytes(header.binaryblock + extension + voxels)
    return path


def in_unit(unit, factor, **arguments):
    header = header_of(affine=np.diag([factor] * 3 + [1]) @ AFFINE, **arguments)
    header.set_xyzt_units(unit, "sec")
    return header


def long_quaternion(length):
    """Return a header without sform whose quaternion is too long."""
    one = float(np.sqrt(0.5)) * length
    return header_of(affine=TURNED, sform_code=0, quatern_b=0, quatern_c=one, quatern_d=one)


GOOD = {
    "plain": header_of(),
    "big-endian": header_of(endianness=">"),
    "x, y, z, 1": header_of(shape=(*SHAPE, 1)),
    "x, y, z, 1, 1": header_of(shape=(*SHAPE, 1, 1)),
    "dim[4] is 0": header_of(dim=(4, *SHAPE, 0, 1, 1, 1)),
    "dim[0] is 5": header_of(dim=(5, *SHAPE, 1, 1, 1, 1)),
    "metre": in_unit("meter", 0.001),
    "micron": in_unit("micron", 1000),
    "micron, qform": in_unit("micron", 1000, sform_code=0),
}
TURNED_BY_QUATERNION = {f"{1 + over}": long_quaternion(1 + over) for over in (0, 1.2e-7, 1e-6, 1e-4, 1e-3)}


@pytest.mark.parametrize("name", GOOD)
def test_one_volume_in_mm_is_read(tmp_path, name):
    path = save(tmp_path / "scan.nii", GOOD[name])
    image = load_nifti(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), VOXELS)
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(image.header.get_zooms(), (0.8, 0.8, 3), rtol=1e-6)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    info = check_scan(path)
    assert (info.shape, info.volumes, info.notes, info.warnings) == (SHAPE, 1, (), ())
    np.testing.assert_allclose(info.voxel_mm, (0.8, 0.8, 3), rtol=1e-6)


@pytest.mark.parametrize("name", TURNED_BY_QUATERNION)
def test_quaternion_a_little_too_long_is_read(tmp_path, name):
    image = load_nifti(save(tmp_path / "scan.nii", TURNED_BY_QUATERNION[name]))
    np.testing.assert_allclose(image.affine, TURNED, atol=1e-6)
    nib.save(nib.Nifti1Image(VOXELS, image.affine, image.header), tmp_path / "map.nii")
    np.testing.assert_allclose(nib.load(tmp_path / "map.nii").affine, TURNED, atol=1e-6)


@pytest.mark.parametrize("header", [*GOOD.values(), *TURNED_BY_QUATERNION.values()], ids=[*GOOD, *TURNED_BY_QUATERNION])
def test_itk_reads_the_same(tmp_path, header):
    path = save(tmp_path / "scan.nii", header)
    image, scan = load_nifti(path), sitk.ReadImage(str(path), sitk.sitkFloat32)
    axes = np.reshape(scan.GetDirection(), (3, 3)) * np.array(scan.GetSpacing())
    lps = np.array([-1, -1, 1])
    np.testing.assert_allclose(lps[:, None] * image.affine[:3, :3], axes, atol=1e-5)
    np.testing.assert_allclose(lps * image.affine[:3, 3], np.array(scan.GetOrigin()), atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), sitk.GetArrayFromImage(scan).T)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("name", ["scan.nii", "SCAN.NII.GZ"])
def test_nifti_2_is_read(tmp_path, name, endianness):
    path = save(tmp_path / name, header_of(nib.Nifti2Header, endianness))
    if name.endswith("GZ"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    image = load_nifti(path)
    assert isinstance(image, nib.Nifti2Image)
    assert image.get_filename() == str(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), VOXELS)
    np.testing.assert_allclose(image.affine, AFFINE)
    assert check_scan(path).shape == SHAPE


def test_voxels_start_behind_the_header_where_it_does_not_say(tmp_path):
    path = save(tmp_path / "scan.nii", header_of(vox_offset=0))
    np.testing.assert_array_equal(np.asanyarray(load_nifti(path).dataobj), VOXELS)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"scan '.*scan\.nii' is truncated"):
        check_scan(path)


@pytest.mark.parametrize("size", [0, 5, 2**20])
def test_extension_that_is_not_there_is_no_matter(tmp_path, size):
    header = header_of(vox_offset=368)
    path = save(tmp_path / "scan.nii", header, bytes([1, 0, 0, 0]) + size.to_bytes(4, "little") + bytes(12))
    np.testing.assert_array_equal(np.asanyarray(load_nifti(path).dataobj), VOXELS)


def test_unit_of_the_file_can_be_kept(tmp_path):
    path = save(tmp_path / "scan.nii", in_unit("micron", 1000))
    image = load_nifti(path, in_mm=False)
    stored = in_unit("micron", 1000)
    for field in ("pixdim", "srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units"):
        np.testing.assert_array_equal(image.header[field], stored[field])
    np.testing.assert_allclose(image.affine[:3], 1000 * AFFINE[:3])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (in_unit("micron", 1), r"voxels of 0\.01 to 50 mm.*unit \(micron\).*\[0\.0008, 0\.0008, 0\.003\]"),
        (in_unit("meter", 1), r"voxels of 0\.01 to 50 mm.*unit \(metre\).*\[800\.0, 800\.0, 3000\.0\]"),
        (header_of(shape=(*SHAPE, 1, 2)), r"3 dimensions, or 4 with volumes last, it has 5"),
        (long_quaternion(1.5), r"quaternion of length 1 at most, that of \(b, c, d\) is 1\.5\. Correct its qform"),
        (header_of(magic=b"ni1"), r"header of a pair of files"),
        (header_of(vox_offset=np.nan), r"damaged header \(vox_offset is nan\)"),
        (header_of(vox_offset=12), r"damaged header \(vox offset 12 too low"),
    ],
)
def test_what_cannot_be_repaired_is_named(tmp_path, header, message):
    with pytest.raises(InputError, match=rf"scan '.*scan\.nii' .*{message}"):
        check_scan(save(tmp_path / "scan.nii", header))


def test_quaternion_beside_an_sform_is_not_in_the_way(tmp_path):
    path = save(tmp_path / "scan.nii", header_of(quatern_c=3))
    np.testing.assert_allclose(load_nifti(path).affine, AFFINE, rtol=1e-6)
    (warning,) = check_scan(path).warnings
    assert "by its qform than by its sform" in warning


@pytest.mark.parametrize("name", ["nothing.nii", "scan.mgz"])
def test_file_in_errors_has_its_word(tmp_path, name):
    (tmp_path / "scan.mgz").write_bytes(b"x")
    with pytest.raises(InputError, match=f"^label '.*{name}'"):
        load_nifti(tmp_path / name, "label")


@pytest.mark.parametrize("axcodes", ["LAS", "LPI", "SRP", "PIR", "ASL"])
def test_same_voxels_in_another_order_fit(axcodes):
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(z=np.pi / 4, x=0.3))  # 45 degrees: axes have no one name
    scan = nib.Nifti1Image(VOXELS, AFFINE)
    target = nib.orientations.axcodes2ornt(axcodes)
    label = scan.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), target))
    onto = axes_onto("label 'l'", turn @ label.affine, label.shape, "scan 's'", turn @ AFFINE, SHAPE)
    np.testing.assert_array_equal(nib.apply_orientation(label.dataobj, onto), VOXELS)


@pytest.mark.parametrize(
    ("affine", "shape", "message"),
    [
        (AFFINE, (12, 13, 10), r"shape of scan 's', it is \(12, 13, 10\), not \(12, 13, 14\)\. Resample"),
        (AFFINE, (12, 13, 14, 2), r"shape of scan 's', it is \(12, 13, 14, 2\), not"),
        (AFFINE, (13, 12, 14), r"shape of scan 's', it is \(13, 12, 14\), not"),
        (AFFINE + 20 * np.eye(4, k=3), SHAPE, r"affine of scan 's', their corners lie 20 mm apart\. Resample"),
        (np.diag([0.8, 0.8, 3, 1]), SHAPE, r"affine of scan 's', their corners lie 30 mm apart"),
        (TURNED, SHAPE, r"affine of scan 's', their corners lie .* mm apart"),
        (AFFINE @ np.diag([1, 1, 1.01, 1]), SHAPE, r"affine of scan 's', their corners lie 0\.39 mm apart"),
    ],
)
def test_other_grid_does_not_fit(affine, shape, message):
    with pytest.raises(InputError, match=rf"^label 'l' must have the {message}"):
        axes_onto("label 'l'", affine, shape, "scan 's'", AFFINE, SHAPE)


def test_rounding_of_an_affine_fits():
    axes_onto("label 'l'", AFFINE @ np.diag([1.0005, 1, 1, 1]), SHAPE, "scan 's'", AFFINE, SHAPE)


def compressed(path):
    nib.save(nib.Nifti1Image(VOXELS, AFFINE), path)
    return path


def count_openings(monkeypatch, path):
    opened = []

    def counted(file, *args, **kwargs):
        opened.append(Path(file) == path)
        return open_gzip(file, *args, **kwargs)

    open_gzip = gzip.open
    monkeypatch.setattr("csvd.io.nifti.gzip.open", counted)
    return opened


def test_file_is_decompressed_once_for_all_who_read_it(tmp_path, monkeypatch):
    path = compressed(tmp_path / "scan.nii.gz")
    opened = count_openings(monkeypatch, path)
    with read_once():
        check_scan(path)
        images = [load_nifti(path), load_nifti(str(path), in_mm=False)]
        voxels = [np.asanyarray(image.dataobj) for image in images for _ in range(2)]
    assert opened == [True]
    for one in voxels:
        np.testing.assert_array_equal(one, VOXELS)
    check_scan(path)
    assert opened == [True, True]  # nothing is kept


def test_long_file_is_not_kept_in_memory(tmp_path, monkeypatch):
    path = compressed(tmp_path / "scan.nii.gz")
    monkeypatch.setattr("csvd.io.nifti.MOST_BYTES", 100)
    with read_once():
        check_scan(path)
        np.testing.assert_array_equal(np.asanyarray(load_nifti(path).dataobj), VOXELS)


def test_damaged_file_read_once_is_named(tmp_path):
    path = compressed(tmp_path / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[:-100])
    with read_once(), pytest.raises(InputError, match=r"scan\.nii\.gz' is truncated or damaged"):
        check_scan(path)


def test_detection_decompresses_a_scan_once(tmp_path, monkeypatch, bundle):
    scan = tmp_path / "sub-01_swi.nii.gz"
    write_scan(scan, 0)
    opened = count_openings(monkeypatch, scan)
    [row] = detect(scan, tmp_path / "out", bundle)
    assert (row["status"], opened) == ("ok", [True])
