"""DICOM objects as programs of others see them: dsrdump of dcmtk, dciodvfy of dicom3tools."""

import re
import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from dicom_study import oblique, write_classic, write_enhanced, write_series
from served_study import CASE, served  # noqa: F401
from test_report_dicom import detect

from csvd import __version__
from csvd.anatomy.mars import MARS
from csvd.io.dicom.measurements import SITES
from csvd.io.dicom.writer import write_dicom
from csvd.io.tables import read_table

pytestmark = pytest.mark.integration

NUMBERS = {
    "Volume": "volume_mm3",
    "Diameter": "diameter_mm",
    "Long axis": "longest_mm",
    "Number of slices": "slices",
    "Contrast to local background": "contrast_percent",
    "Difference to local background": "difference",
    "Contrast to noise": "cnr",
    "Probability": "probability",
}


def program(name, *words):
    """Return what a program prints; the test is skipped where there is none."""
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    return subprocess.run([name, *map(str, words)], capture_output=True, text=True, errors="replace")


def dumped(path):
    """Return what dsrdump prints of each lesion: a dictionary by name of the item."""
    text = program("dsrdump", "+U8", "+Pl", path).stdout
    groups = [{}]
    for name, value in re.findall(r'^ *<[^:]*:\(,,"([^"]*)"\)=(.*)>$', text, re.MULTILINE):
        if name == "Measurement Group":
            groups.append({})
        groups[-1].setdefault(name, value)
    return [group for group in groups if group.get("Tracking Identifier", "").startswith('"suspected microbleed')]


def meaning(value):
    """Return the meaning of a code that dsrdump prints."""
    return re.fullmatch(r'\(.*,.*,"(.*)"\)', value)[1]


def faults(path):
    """Return what dciodvfy finds wrong, but for terms of our own, and a patient without identifier in no index."""
    done = program("dciodvfy", "-new", path)
    lines = f"{done.stdout}{done.stderr}".splitlines()
    lines.remove({"seg": "Segmentation", "sr": "Comprehensive3DSR"}[path.stem.split("_")[-1]])
    known = ("Unrecognized defined term = <99CSVD>", "would be needed to build DICOMDIR")
    return [line for line in lines if not line.endswith(known)]


def test_dsrdump_reads_what_the_table_says(served):  # noqa: F811
    [path] = served.files("SR")
    rows, groups = read_table(served.results / CASE / f"{CASE}_lesions.tsv"), dumped(path)
    assert len(groups) == len(rows) > 10
    for row, group in zip(rows, groups, strict=True):
        assert group["Tracking Identifier"] == f'"suspected microbleed {row["id"]}"'
        assert meaning(group["Finding"]) == "Suspected cerebral microbleed"
        assert meaning(group["Finding Site"]) == SITES[row["mars"]].meaning
        assert (
            group.get("Laterality", "").strip("()").partition(",")[0]
            in {"left": ["7771000"], "right": ["24028007"], "midline": [""]}[row["side"]]
        )
        told = {name: float(re.match(r'"([^"]*)"', group[name])[1]) for name in NUMBERS}
        assert told == {name: float(row[column]) for name, column in NUMBERS.items()}
        assert meaning(group["Region, approximate"]) == row["region"].capitalize()
        assert (group["Algorithm Name"], group["Algorithm Version"]) == ('"csvd cmb_detection"', f'"{__version__}"')


def test_every_region_has_a_site():
    assert SITES.keys() == MARS.keys()


def test_pydicom_reads_what_the_table_says(served):  # noqa: F811
    [path] = served.files("SR")
    rows = read_table(served.results / CASE / f"{CASE}_lesions.tsv")
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    for row, group in zip(rows, groups, strict=True):
        told = {one.name.meaning: one.value for one in group.get_measurements()}
        assert told == {name: float(row[column]) for name, column in NUMBERS.items()}
        assert group.finding_sites[0].topographical_modifier is None
        assert group.finding_sites[0].value == SITES[row["mars"]]


def test_highdicom_reads_the_mask_from_the_segmentation(served):  # noqa: F811
    [path] = served.files("SEG")
    volume = hd.seg.segread(path).get_volume(combine_segments=True, allow_missing_positions=True)
    mask = nib.load(served.results / CASE / f"{CASE}_cmb.nii.gz")
    numbers = {
        number: int(row["id"])
        for number, row in enumerate(read_table(served.results / CASE / f"{CASE}_lesions.tsv"), 1)
    }
    expected, found = np.asarray(mask.dataobj), np.zeros(mask.shape, dtype=int)
    points = np.argwhere(volume.array)
    lps = nib.affines.apply_affine(volume.affine, points)
    voxels = nib.affines.apply_affine(np.linalg.inv(mask.affine), lps * (-1, -1, 1))
    assert np.abs(voxels - voxels.round()).max() < 0.02
    values = [numbers[int(volume.array[tuple(point)])] for point in points]
    found[tuple(voxels.round().astype(int).T)] = values
    np.testing.assert_array_equal(found, expected)


def test_dciodvfy_finds_no_fault_in_the_results_of_a_study(served, tmp_path):  # noqa: F811
    for modality in ("SEG", "SR"):
        [path] = served.files(modality)
        named = Path(shutil.copy(path, tmp_path / f"a_{modality.lower()}.dcm"))
        assert faults(named) == []


@pytest.mark.parametrize("how", ["classic", "enhanced", "one lesion", "no lesion", "without names"])
def test_dciodvfy_finds_no_fault_whatever_the_study(tmp_path, how):
    study = tmp_path / "study"
    if how == "enhanced":
        write_enhanced(study / "1.dcm", oblique())
    elif how == "one lesion":
        volume = np.random.default_rng(0).integers(700, 900, (40, 48, 12)).astype(np.uint16)
        volume[20, 31, 4] = 20
        write_series(study, volume)
    elif how == "without names":
        names = dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"), "")
        write_series(study, **names)
    else:
        write_classic(study, oblique())
    _, out, source = detect(study, tmp_path / "work", lesions=how != "no lesion")
    for path in write_dicom(out, "a", source):
        assert faults(path) == []
