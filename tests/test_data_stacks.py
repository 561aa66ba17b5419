"""Slices that did not arrive: the scan is refused by name, and what takes its place is told of."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from dicom_study import ECHOES_MS, SIZE, change, oblique, pixels, seen, write_classic, write_series

from csvd.checks import InputError
from csvd.io import find_cases
from csvd.io.dicom.series import sort_series
from csvd.io.dicom.stacks import check_positions
from csvd.io.dicom.studies import convert_study, find_studies

MAGNITUDE = {"description": "Mag", "types": ("ORIGINAL", "PRIMARY", "M", "ND")}
MISSING = [place for place in range(SIZE[2]) if place not in (5, 6)]
THINNED = [place for place in range(SIZE[2]) if place < 5 or place % 2]


def chosen(folder, tmp_path):
    (tmp_path / "work").mkdir()
    [files] = find_studies(folder).values()
    return convert_study(folder, files, tmp_path / "work")


@pytest.mark.parametrize("kind", ["2D", "3D"])
@pytest.mark.parametrize("renumbered", [False, True])
@pytest.mark.parametrize(
    ("keep", "said"),
    [
        (MISSING, "they are 3 mm apart, but 9 mm between slices 5 and 6 of 10: slices are missing"),
        (THINNED, "they are 3 mm apart, but 6 mm between slices 6 and 7 of 9 and at 2 more places: slices are missing"),
    ],
)
def test_gap_is_refused_with_its_place(tmp_path, kind, renumbered, keep, said):
    numbers = {"InstanceNumber": lambda place: keep.index(place) + 1} if renumbered else {}
    write_series(tmp_path / "study", keep=keep, MRAcquisitionType=kind, **numbers)
    with pytest.raises(InputError, match=f"^series 1 'SWI' in DICOM folder '{tmp_path}/study' must .*{said}. Export"):
        chosen(tmp_path / "study", tmp_path)


@pytest.mark.parametrize("keep", [range(4, 12), range(9)])
def test_slices_missing_at_an_end_leave_the_others_where_they_are(tmp_path, keep):
    write_series(tmp_path / "study", keep=keep)
    scan = chosen(tmp_path / "study", tmp_path)
    image = nib.load(scan.image)
    assert min(image.shape) == len(keep)
    corner = oblique().point(0, 0, keep[0]) * (-1, -1, 1)
    voxel = nib.affines.apply_affine(np.linalg.inv(image.affine), corner).round(2)
    assert np.asarray(image.dataobj)[tuple(voxel.astype(int))] == pixels(20.0)[0, 0, keep[0]]


def test_every_second_slice_missing_is_warned_of(tmp_path):
    write_series(tmp_path / "study", keep=range(0, 12, 2))
    scan = chosen(tmp_path / "study", tmp_path)
    assert f"series 1 'SWI' in DICOM folder '{tmp_path}/study' has slices 6 mm apart" in scan.warnings[0]


def test_magnitude_in_place_of_a_damaged_swi_is_a_warning(tmp_path):
    write_series(tmp_path / "study" / "swi", number=3, keep=MISSING)
    write_series(tmp_path / "study" / "mag", number=1, **MAGNITUDE)
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(scan.image), pixels(20.0))
    assert scan.folder == tmp_path / "study" / "mag"
    [warning] = scan.warnings
    assert warning.startswith(
        f"series 1 'Mag' was taken in place of a better one: series 3 'SWI' in DICOM folder '{tmp_path}/study/swi' "
        "must have slices at equal distances, they are 3 mm apart, but 9 mm between slices 5 and 6 of 10"
    )


def test_damaged_series_that_would_not_be_chosen_is_a_note(tmp_path):
    write_series(tmp_path / "study" / "swi", number=3)
    write_series(tmp_path / "study" / "mag", number=1, keep=MISSING, **MAGNITUDE)
    write_series(tmp_path / "study" / "pha", number=2, keep=MISSING, types=("ORIGINAL", "PRIMARY", "P"))
    scan = chosen(tmp_path / "study", tmp_path)
    assert not scan.warnings
    left = [note for note in scan.notes if "is left out" in note]
    assert [note.split(" is left out")[0] for note in left] == ["series 1 'Mag'", "series 2 'SWI'"]


def test_damaged_echo_leaves_the_other_and_is_warned_of(tmp_path):
    write_classic(tmp_path / "study", oblique())
    last = [path for path in (tmp_path / "study").iterdir() if path.name.endswith("_2")]
    last[6].unlink()
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(scan.image), pixels(ECHOES_MS[0]))
    assert "(TE 20 ms) must have slices at equal distances" in scan.warnings[0]


def test_missing_image_of_a_volume_is_refused(tmp_path):
    for number in (1, 2):
        keep = range(12) if number == 1 else MISSING
        tags = {"SeriesInstanceUID": "1.2.3.4", "prefix": f"v{number}_", "AcquisitionNumber": number}
        write_series(tmp_path / "study", pixels(20.0, seed=number), keep=keep, **tags)
    with pytest.raises(InputError, match="as many images at each place, it has 2 at some and 1 at others of 12"):
        chosen(tmp_path / "study", tmp_path)


def test_positions_that_scanners_round_are_no_gap(tmp_path):
    for place, path in enumerate(write_series(tmp_path / "study")):
        change([path], ImagePositionPatient=[f"{value:.1f}" for value in oblique().point(0, 0, place)])
    assert not chosen(tmp_path / "study", tmp_path).warnings


def test_slices_that_a_conversion_would_misplace_are_refused(tmp_path):
    """Mirrored, moved, and without a direction: what dcm2niix made of series it did not understand."""
    write_series(tmp_path / "study")
    scan = chosen(tmp_path / "study", tmp_path)
    [series] = sort_series(scan.files)[0]
    image = nib.load(scan.image)
    stored, affine = np.asarray(image.dataobj), image.affine
    thin = int(np.argmin(stored.shape))
    moved, flat = affine.copy(), affine.copy()
    moved[:3, 3] += affine[:3, thin] / 2
    flat[:3, thin] = 0
    for array, to_mm, said in (
        (np.flip(stored, thin), affine, "its slice 's00[0-9]' would not lie where its DICOM tags say"),
        (stored, moved, "its slices would lie up to 0.5 voxels from where"),
        (stored, flat, "its slices have no direction"),
    ):
        header = image.header.copy()
        header.set_sform(to_mm, code=1)
        header.set_qform(None, code=0)
        nib.save(nib.Nifti1Image(array, None, header), tmp_path / "other.nii")
        with pytest.raises(InputError, match=said):
            check_positions(tmp_path / "other.nii", series.instances, "series")
    check_positions(scan.image, series.instances, "series")


def test_sheared_stack_is_refused(tmp_path):
    """Slices that each lie farther along the row, which dcm2niix puts straight above each other without a word."""
    shift = lambda place: [*(oblique().point(0, 0, place) + oblique().along_row * 0.6 * place).round(5)]  # noqa: E731
    write_series(tmp_path / "study", ImagePositionPatient=shift)
    with pytest.raises(InputError, match=f"'{tmp_path}/study' .* its slices would lie up to 7.3 voxels from where"):
        chosen(tmp_path / "study", tmp_path)


def test_real_missing_slice_is_warned_of(real_scans, tmp_path):
    series = real_scans / "siemens-gre-magphase-dicom" / "2_me_FieldMap_GRE"
    shutil.copytree(series, tmp_path / "series", copy_function=shutil.copyfile)
    (tmp_path / "series" / "0010_e2.dcm").unlink()
    (tmp_path / "work").mkdir()
    [case] = find_cases(tmp_path / "series")
    case = case.converted(tmp_path / "work")
    assert "echo 1 of 1 (TE 5.19 ms)" in case.notes[0]
    assert "(TE 7.65 ms) must have slices at equal distances, they are 3.6 mm apart, but 7.2 mm" in case.warnings[0]
