"""Which files are DICOM: with the mark of part 10, or without preamble and mark, and nothing else."""

import gzip
import struct
import zipfile

import nibabel as nib
import numpy as np
import pytest
from dicom_study import pixels, seen, take_start, write_series
from PIL import Image

from csvd.io import convert_dicom, find_cases
from csvd.io.dicom.files import is_dicom, numbers_of, read_dicom, read_tags, values_of

STARTS = ("implicit", "explicit", "big", "group 2", "mark")


@pytest.mark.parametrize("how", STARTS)
def test_files_without_preamble_and_mark_are_the_scan_they_are(tmp_path, how):
    for path in write_series(tmp_path / "study"):
        take_start(path, how)
        assert is_dicom(path)
    [case] = find_cases(tmp_path / "study")
    np.testing.assert_array_equal(seen(case.converted(tmp_path).image), pixels(20.0))


def test_one_file_without_mark_among_others_is_no_missing_slice(tmp_path):
    paths = write_series(tmp_path / "study")
    take_start(paths[5], "implicit")
    [image] = convert_dicom(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(image.image), pixels(20.0))


@pytest.mark.parametrize("how", STARTS)
def test_tags_and_pixels_of_a_file_without_mark_are_read(tmp_path, how):
    path = write_series(tmp_path, description="SWI täglich", keep=[4])[0]
    take_start(path, how)
    assert values_of(read_tags(path, ["SeriesDescription"]), "SeriesDescription") == ["SWI täglich"]
    np.testing.assert_array_equal(read_dicom(path, pixels=True).pixel_array, pixels(20.0)[:, :, 4])
    assert read_dicom(path).filename == str(path)


def picture(path):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)


OTHERS = {
    "empty": lambda path: path.write_bytes(b""),
    "a.txt": lambda path: path.write_text("Acquired in 2020\n" * 99),
    "latin1.txt": lambda path: path.write_bytes(b"\x08\x00 report\n" * 99),
    "a.json": lambda path: path.write_text('{"EchoTime": 0.02}'),
    "a.nii": lambda path: nib.save(nib.Nifti1Image(np.full((9, 9, 9), 8, np.int16), np.eye(4)), path),
    "a.nii.gz": lambda path: nib.save(nib.Nifti1Image(np.zeros((9, 9, 9), np.int16), np.eye(4)), path),
    "b.nii": lambda path: nib.save(nib.Nifti2Image(np.zeros((9, 9, 9), np.int16), np.eye(4)), path),
    "a.png": picture,
    "a.jpg": picture,
    "a.bmp": picture,
    "a.tif": picture,
    "a.zip": lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
    "a.gz": lambda path: path.write_bytes(gzip.compress(bytes(999))),
    "zeros.raw": lambda path: path.write_bytes(bytes(9999)),
    "eights.raw": lambda path: path.write_bytes(np.full(999, 8, "<i2").tobytes()),
    "ramp.raw": lambda path: path.write_bytes(np.arange(2, 999, dtype="<i2").tobytes()),
    "ramp.float": lambda path: path.write_bytes(np.arange(999, dtype="<f4").tobytes()),
    "one_element": lambda path: path.write_bytes(struct.pack("<HH2sH", 8, 5, b"CS", 10) + b"ISO_IR 100" + bytes(99)),
    "descending": lambda path: path.write_bytes(struct.pack("<HH2sH", 8, 96, b"CS", 2) * 3 + b"MR" * 99),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_dicom_is_not_taken_for_it(tmp_path, name):
    OTHERS[name](tmp_path / name)
    assert not is_dicom(tmp_path / name)


def test_only_the_start_of_a_file_is_looked_at(tmp_path):
    """A file of a terabyte that holds nothing takes no time."""
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**40)
    assert not is_dicom(tmp_path / "a")


def test_values_that_break_the_standard_are_none(tmp_path):
    path = write_series(tmp_path, keep=[0])[0]
    path.write_bytes(path.read_bytes().replace(b"\x81\x00DS\x04\x0020.0", b"\x81\x00DS\x04\x0020ms"))
    header = read_tags(path, ["EchoTime", "Rows"])
    assert numbers_of(header, "EchoTime", 1) is None
    assert numbers_of(header, "Rows", 1) == [40.0]


def test_values_that_many_files_share_are_kept_once(tmp_path):
    first, second = (read_tags(path, ["SeriesInstanceUID", "PixelSpacing"]) for path in write_series(tmp_path)[:2])
    assert first == second
    assert all(one is other for tag, values in first.items() for one, other in zip(values, second[tag], strict=True))
