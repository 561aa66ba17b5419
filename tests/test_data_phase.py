"""Phase images are found beside scans, and belong to their cases."""

import json

import nibabel as nib
import numpy as np
import pytest

from csvd.checks import InputError
from csvd.io import find_cases, find_items, find_phase
from csvd.io.phase import phase_beside

PAIRS = [
    ("sub-01_part-mag_T2starw.nii.gz", "sub-01_part-phase_T2starw.nii.gz"),
    ("sub-01_acq-a_part-mag_echo-2_GRE.nii.gz", "sub-01_acq-a_part-phase_echo-2_GRE.nii"),
    ("sub-01_swi.nii.gz", "sub-01_part-phase_swi.nii.gz"),
    ("sub-001_swi.nii.gz", "sub-001_phase.nii.gz"),
    ("sub-001_mag.nii.gz", "sub-001_phase.nii.gz"),
    ("4_swi_e2.nii", "4_swi_e2_ph.nii"),
    ("scan.nii.gz", "scan_phase.nii.gz"),
]


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"")
    return folder / names[0]


@pytest.mark.parametrize(("scan", "phase"), PAIRS)
def test_phase_is_found_by_its_name(tmp_path, scan, phase):
    image = touch(tmp_path, scan, phase)
    assert find_phase(image) == tmp_path / phase


@pytest.mark.parametrize(
    ("scan", "other"),
    [
        ("sub-01_part-mag_GRE.nii", "sub-02_part-phase_GRE.nii"),
        ("sub-01_part-phase_GRE.nii", "sub-01_part-mag_GRE.nii"),
        ("sub-01_part-phase_GRE.nii", "sub-01_swi.nii"),
        ("sub-01_qsm.nii", "sub-01_phase.nii"),
    ],
)
def test_other_files_are_no_phase(tmp_path, scan, other):
    assert find_phase(touch(tmp_path, scan, other)) is None


def save(path, shift=0.0, shape=(8, 9, 10)):
    affine = np.eye(4)
    affine[0, 3] = shift
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), path)
    return path


def test_case_gets_the_phase_beside_it(tmp_path):
    scan, phase = (save(tmp_path / f"sub-001_{kind}.nii.gz") for kind in ("swi", "phase"))
    for source in (scan, tmp_path):
        [case] = find_cases(source)
        assert case.phase == phase
        assert case.item()["phase"] == str(phase)


@pytest.mark.parametrize("how", [{"shift": 0.5}, {"shape": (8, 9, 11)}])
def test_phase_on_another_grid_is_left_and_named(tmp_path, how):
    scan = save(tmp_path / "a_swi.nii")
    save(tmp_path / "a_phase.nii", **how)
    [case] = find_cases(scan)
    assert case.phase is None
    assert "phase" not in case.item()
    said = ["'a_phase.nii' beside it is not on its grid, and was not used as its phase"]
    assert phase_beside(scan) == (None, said)
    assert [*case.notes, *case.warnings] == said


def test_phase_that_cannot_be_read_stays_for_the_warning_that_names_it(tmp_path):
    scan = save(tmp_path / "a_swi.nii")
    (tmp_path / "a_phase.nii.gz").symlink_to("../.git/annex/objects/none")
    assert phase_beside(scan) == (tmp_path / "a_phase.nii.gz", [])
    (tmp_path / "a_phase.nii.gz").unlink()
    (tmp_path / "a_phase.nii").write_text("/annex/objects/MD5E-s9--ab.nii\n")
    assert phase_beside(scan) == (tmp_path / "a_phase.nii", [])


def test_damaged_scan_is_refused_elsewhere(tmp_path):
    scan = touch(tmp_path, "a_swi.nii", "a_phase.nii")
    assert find_cases(scan)[0].phase is None


def test_phase_that_is_given_goes_first(tmp_path):
    scan = save(tmp_path / "a_swi.nii")
    save(tmp_path / "a_phase.nii")
    assert find_cases(scan, phase=tmp_path / "mine.nii")[0].phase == tmp_path / "mine.nii"


def test_data_list_names_phase(tmp_path):
    save(tmp_path / "a.nii")
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": "a.nii", "phase": "p/b.nii"}]}))
    [item] = find_items(tmp_path / "list.json")
    assert item["phase"] == str(tmp_path / "p" / "b.nii")


def test_one_phase_for_several_scans_is_refused(tmp_path):
    for name in ("a.nii", "b.nii"):
        save(tmp_path / name)
    with pytest.raises(InputError, match=r"phase 'p.nii' fits one scan, .* holds 2. Name each phase in a data list"):
        find_cases(tmp_path, phase="p.nii")
