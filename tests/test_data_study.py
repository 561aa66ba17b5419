"""The one scan of a study: projections and what workstations make are left, in every vendor's words."""

import numpy as np
import pytest
from dicom_study import oblique, pixels, seen, write_series
from scipy import ndimage

from csvd.checks import InputError
from csvd.io import convert_dicom
from csvd.io.dicom.studies import convert_study, find_studies

PLAIN = ("ORIGINAL", "PRIMARY", "M", "ND", "NORM")
SWI = ("ORIGINAL", "PRIMARY", "M", "SWI", "ND")
VENDORS = {  # ImageType and description of the projection, then of the scan
    "Siemens": (r"DERIVED\PRIMARY\MNIP\ND\NORM", "mIP_Images(SW)", r"ORIGINAL\PRIMARY\M\SWI\ND", "SWI_Images"),
    "syngo": (r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M", "SWI MinIP", r"ORIGINAL\PRIMARY\M\SWI\ND", "SWI_Images"),
    "syngo MPR": (
        r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M",
        "SWI tra",
        r"ORIGINAL\PRIMARY\M\SWI\ND",
        "SWI_Images",
    ),
    "GE": (r"DERIVED\SECONDARY\REFORMATTED\AVERAGE", "SWAN MinIP 8mm", r"ORIGINAL\PRIMARY\OTHER", "Ax SWAN"),
    "Philips": (r"DERIVED\SECONDARY\M\SWI\M\FFE", "sSWIp minIP", r"DERIVED\PRIMARY\SWI\M\FFE", "sSWIp"),
    "Philips original": (
        r"ORIGINAL\PRIMARY\PROJECTION IMAGE\M\FFE",
        "VEN_BOLD",
        r"ORIGINAL\PRIMARY\M_FFE\M\FFE",
        "SWIp",
    ),
    "Canon": (r"DERIVED\SECONDARY\OTHER\SWI\MINIP", "FSBB MinIP", r"DERIVED\PRIMARY\OTHER\SWI", "FSBB"),
    "words": (r"ORIGINAL\PRIMARY\OTHER", "SWI min IP", r"ORIGINAL\PRIMARY\OTHER", "SWI"),
    "workstation": (r"DERIVED\SECONDARY\OTHER", "SWI", r"ORIGINAL\PRIMARY\M\SWI", "SWI"),
}


def projection():
    """Sliding minimum over five slices: as many slices as the scan."""
    return ndimage.minimum_filter1d(pixels(20.0), 5, axis=2)


def chosen(folder, tmp_path):
    (tmp_path / "work").mkdir()
    [files] = find_studies(folder).values()
    return convert_study(folder, files, tmp_path / "work")


@pytest.mark.parametrize("vendor", VENDORS)
def test_scan_is_taken_and_not_its_projection(tmp_path, vendor):
    low, low_text, types, text = VENDORS[vendor]
    write_series(tmp_path / "study" / "a", projection(), number=4, types=low.split("\\"), description=low_text)
    write_series(tmp_path / "study" / "b", number=5, types=types.split("\\"), description=text)
    write_series(tmp_path / "study" / "c", pixels(7.5), number=2, types=PLAIN, description="Mag_Images")
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(scan.image), pixels(20.0))
    assert scan.folder == tmp_path / "study" / "b"
    assert set(scan.files) == set((tmp_path / "study" / "b").iterdir())
    assert not scan.warnings


def test_projection_under_the_series_of_its_scan_is_left(tmp_path):
    for types, prefix, volume in ((SWI, "s", None), (("DERIVED", "PRIMARY", "MIP", "SWI"), "m", projection())):
        write_series(tmp_path / "study", volume, types=types, prefix=prefix, SeriesInstanceUID="1.2.3.4")
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(scan.image), pixels(20.0))
    assert {path.name[0] for path in scan.files} == {"s"}


def test_swi_that_calls_itself_derived_is_left_where_another_does_not(tmp_path):
    """Twice the slices, half as thick, and no word of what was done."""
    twice = np.repeat(projection(), 2, axis=2)
    halves = {"SliceThickness": 1.5, "SpacingBetweenSlices": 1.5}
    place = {"ImagePositionPatient": lambda place: [*oblique().point(0, 0, place / 2).round(5)]}
    derived = ("DERIVED", "PRIMARY", "M", "SWI")
    write_series(tmp_path / "study" / "a", twice, number=4, types=derived, **halves, **place)
    write_series(tmp_path / "study" / "b", number=5)
    assert chosen(tmp_path / "study", tmp_path).folder == tmp_path / "study" / "b"


def test_slices_that_overlap_are_left_where_others_do_not(tmp_path):
    """A projection that nothing calls one: slices thrice as thick as they are apart."""
    write_series(tmp_path / "study" / "a", projection(), number=4, SliceThickness=9)
    write_series(tmp_path / "study" / "b", number=5)
    assert chosen(tmp_path / "study", tmp_path).folder == tmp_path / "study" / "b"


@pytest.mark.parametrize(
    ("types", "text", "how"),
    [
        (r"DERIVED\PRIMARY\MNIP\ND\NORM", "mIP_Images(SW)", "intensity projection"),
        (r"DERIVED\SECONDARY\MPR\CSA MPR", "SWI tra", "reformatted image"),
        (r"DERIVED\SECONDARY\OTHER", "SWI", "secondary image of a workstation"),
    ],
)
@pytest.mark.parametrize("beside", [None, "T1"])
def test_projection_without_its_scan_is_taken_with_a_warning(tmp_path, types, text, how, beside):
    write_series(tmp_path / "study" / "a", projection(), number=4, types=types.split("\\"), description=text)
    if beside:
        t1 = {"types": PLAIN, "EchoTime": 3.0, "ScanningSequence": ["GR", "IR"], "InversionTime": 900.0}
        write_series(tmp_path / "study" / "b", pixels(3.0), number=5, description="t1_mpr", **t1)
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_array_equal(seen(scan.image), projection())
    [warning] = scan.warnings
    assert warning.startswith(
        f"series 4 '{text}' in DICOM folder '{tmp_path}/study/a' is no original but a derived image ({how})"
    )


def test_map_of_susceptibility_is_right_as_it_is(tmp_path):
    write_series(tmp_path / "study", types=("DERIVED", "PRIMARY", "QSM"), description="QSM")
    assert not chosen(tmp_path / "study", tmp_path).warnings


def test_every_series_of_a_folder_is_told_for_what_it_is(tmp_path):
    for number, (types, text) in enumerate(((SWI, "SWI"), (("DERIVED", "PRIMARY", "MNIP"), "mIP(SW)"), (PLAIN, "Mag"))):
        write_series(tmp_path / "study", number=number + 1, types=types, description=text, prefix=f"{number}_")
    scans = convert_dicom(tmp_path / "study", tmp_path)
    assert [(scan.series, scan.kind, scan.derivation) for scan in scans] == [
        ("1 'SWI'", "magnitude", ""),
        ("2 'mIP(SW)'", "derived", "intensity projection"),
        ("3 'Mag'", "magnitude", ""),
    ]


def test_messages_of_the_converter_name_the_files_of_the_user(tmp_path):
    """Cut short, so that dcm2niix complains of one file."""
    path = write_series(tmp_path / "study")[5]
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(
        InputError, match=f"DICOM folder '{tmp_path}/study' cannot .*'Warning: .*{tmp_path}/study/s005"
    ) as it:
        chosen(tmp_path / "study", tmp_path)
    assert "/work/" not in str(it.value)


def test_notes_of_the_converter_name_no_temporary_folder(tmp_path):
    write_series(tmp_path / "study", Manufacturer="Philips Medical Systems", RescaleSlope=0.1, RescaleIntercept=0)
    scan = chosen(tmp_path / "study", tmp_path)
    np.testing.assert_allclose(
        seen(scan.image), pixels(20.0) * (seen(scan.image).max() / pixels(20.0).max()), rtol=1e-5
    )
    assert any(note.startswith("dcm2niix: Warning") for note in scan.notes)
    assert "work" not in "".join(scan.notes)
    assert "DICOM as" not in "".join(scan.notes)
