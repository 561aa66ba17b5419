import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_study import oblique, write_classic

from csvd.checks import InputError
from csvd.io import Converted, choose_scan, convert_dicom, find_cases, find_items

SERIES = "siemens-mefmri-t2star-dicom/4_me_fMRI"


def study_of(folder, workdir):
    [case] = find_cases(folder)
    return case.converted(workdir)


def converted(name, **values):
    return Converted(image=Path(f"{name}.nii"), folder=Path("study"), **values)


def test_longest_usable_echo_of_real_mosaics_is_the_reference_conversion(real_scans, tmp_path):
    case = study_of(real_scans / SERIES, tmp_path)
    image, reference = nib.load(case.image), nib.load(real_scans / "siemens-mefmri-t2star-dicom" / "me_fMRI_4_e2.nii")
    assert case.name == "4_me_fMRI"
    assert "echo 2 of 2 (TE 37.8 ms) of series 4 'me_fMRI', magnitude" in case.notes[0]
    np.testing.assert_allclose(image.affine, reference.affine, atol=1e-4)
    np.testing.assert_array_equal(image.get_fdata(), reference.get_fdata())


@pytest.mark.parametrize(
    ("series", "said", "shape"),
    [
        ("siemens-gre-magphase-dicom/2_me_FieldMap_GRE", "echo 2 of 2 (TE 7.65 ms) of series 2", (64, 64, 36)),
        ("siemens-xa30-enhanced-dicom/8_gre_field_mapping", "echo 2 of 2 (TE 12.5 ms) of series 8", (64, 64, 33)),
        ("siemens-xa30-enhanced-dicom/7_func-bold_task-fa_run-1", "echo 1 of 1 (TE 30 ms)", (64, 64, 33, 2)),
        ("siemens-xa30-enhanced-dicom/11_DWI_dir80_PA", "'DWI_dir80_PA_ADC', derived, not a gradient", (72, 72, 39)),
        ("dwi-b0-b1000-philips/dicom_b0", "magnitude, not a gradient echo", (128, 128, 60)),
    ],
)
def test_choice_in_real_series_is_reported(real_scans, tmp_path, series, said, shape):
    case = study_of(real_scans / series, tmp_path)
    assert said in case.notes[0]
    assert nib.load(case.image).shape == shape


def test_folder_of_phase_images_is_refused(real_scans, tmp_path):
    with pytest.raises(InputError, match=r"3_me_FieldMap_GRE' must hold a magnitude image, its 1 images are all phase"):
        study_of(real_scans / "siemens-gre-magphase-dicom" / "3_me_FieldMap_GRE", tmp_path)


def test_magnitude_goes_before_phase_in_one_folder(real_scans, tmp_path):
    for series in (real_scans / "siemens-gre-magphase-dicom").glob("*_GRE"):
        shutil.copytree(series, tmp_path / "both", dirs_exist_ok=True, copy_function=shutil.copyfile)
    case = study_of(tmp_path / "both", tmp_path)
    assert case.notes == [
        "converted from DICOM: echo 2 of 2 (TE 7.65 ms) of series 2 'me_FieldMap_GRE', magnitude, chosen from 3 images",
        "series of the study: 2 'me_FieldMap_GRE', 3 'me_FieldMap_GRE'",
    ]
    assert {path.name for path in case.dicom} == {path.name for path in (tmp_path / "both").glob("*")} - {
        path.name for path in (real_scans / "siemens-gre-magphase-dicom" / "3_me_FieldMap_GRE").glob("*")
    }


def test_two_studies_in_one_folder_are_two_scans(real_scans, tmp_path):
    for series in (SERIES, "siemens-xa30-enhanced-dicom/8_gre_field_mapping"):
        shutil.copytree(real_scans / series, tmp_path / "both", dirs_exist_ok=True, copy_function=shutil.copyfile)
    cases = find_cases(tmp_path / "both")
    assert all(re.fullmatch(r"both_[0-9a-f]{8}", case.name) for case in cases)
    assert {nib.load(case.converted(tmp_path).image).shape for case in cases} == {(64, 64, 30, 3), (64, 64, 33)}


def test_what_dcm2niix_cannot_convert_is_refused_and_leaves_nothing(real_scans, tmp_path):
    with pytest.raises(InputError, match=r"99_Phoenix_Document' cannot .*says: 'No valid DICOM images were found'"):
        convert_dicom(real_scans / "siemens-xa30-enhanced-dicom" / "99_Phoenix_Document", tmp_path)
    assert not list(tmp_path.iterdir())


def test_truncated_slice_is_refused(real_scans, tmp_path):
    series = real_scans / "siemens-gre-magphase-dicom" / "2_me_FieldMap_GRE"
    shutil.copytree(series, tmp_path / "series", copy_function=shutil.copyfile)
    path = tmp_path / "series" / "0010_e2.dcm"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"series' cannot be .* says: 'Warning: .*0010_e2\.dcm; Error: Converted 36"):
        convert_dicom(tmp_path / "series", tmp_path)


def test_missing_program_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)
    write_classic(tmp_path / "study", oblique(), echoes=(20.0,))
    with pytest.raises(InputError, match=r"package 'dcm2niix' or its program is missing.*pip install dcm2niix"):
        convert_dicom(tmp_path / "study", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(InputError, match="must hold DICOM images, it holds none that can be read"):
        convert_dicom(tmp_path, tmp_path)


def test_configs_refuse_dicom(tmp_path):
    (tmp_path / "0001").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match="holds DICOM files: use `csvd detect`"):
        find_items(tmp_path)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"echo_ms": 20}, {"kind": "derived", "echo_ms": 40}),
        ({"echo_ms": 20}, {"gradient_echo": False, "echo_ms": 40}),
        ({"echo_ms": 20, "swi": True}, {"echo_ms": 25}),
        ({"echo_ms": 12, "sequence": "T2*-GRE"}, {"echo_ms": 20, "sequence": "T1"}),
        ({"echo_ms": 12}, {"echo_ms": 20, "sequence": "T1"}),
        ({"echo_ms": 12, "sequence": "T2*-GRE"}, {"echo_ms": 30, "sequence": "T2*-GRE", "epi": True}),
        ({"echo_ms": 12}, {"kind": "complex", "echo_ms": 20}),
        ({"echo_ms": 20, "swi": True}, {"kind": "derived", "swi": True, "echo_ms": 20}),
        ({"echo_ms": 25}, {"echo_ms": 20}),
        ({"echo_ms": 25}, {"echo_ms": 80}),
        ({"echo_ms": 60}, {"echo_ms": 80}),
        ({"echo_ms": 20, "slices": 60}, {"echo_ms": 20, "slices": 3}),
        ({"echo_ms": 0}, {"kind": "phase", "echo_ms": 40}),
        ({"echo_ms": 20, "swi": True}, {"echo_ms": 20, "swi": True, "slices": 96, "overlapping": True}),
        ({"kind": "derived", "sequence": "SWI"}, {"sequence": "T1", "gradient_echo": True}),
        ({"sequence": None}, {"kind": "derived", "sequence": "SWI"}),
    ],
)
def test_better_scan_is_chosen_in_any_order(better, worse):
    scans = [converted("better", **better), converted("worse", **worse)]
    assert choose_scan(scans)[0].image == choose_scan(scans[::-1])[0].image == Path("better.nii")


def test_unknown_echo_time_is_called_so():
    assert choose_scan([converted("a", series="7 'swi'")])[1] == "echo 1 of 1 (TE unknown) of series 7 'swi', magnitude"


def test_nested_study_of_real_enhanced_series_is_read(real_scans, tmp_path):
    case = study_of(real_scans / "siemens-xa30-enhanced-dicom", tmp_path)
    assert case.name == "siemens-xa30-enhanced-dicom"
    assert "echo 2 of 2 (TE 12.5 ms) of series 8 'gre_field_mapping', magnitude, chosen from 12 images" in case.notes[0]
    assert case.notes[1].startswith("series of the study: 5 'anat-T1w_acq-tfl', 7 'func-bold_task-fa_run-1', 8 ")
    assert nib.load(case.phase).shape == nib.load(case.image).shape == (64, 64, 33)
    assert json.loads(case.phase.with_suffix(".json").read_text())["SeriesNumber"] == 9
    assert {path.parent.name for path in case.dicom} == {"8_gre_field_mapping"}


@pytest.mark.parametrize("places", [("a/1", "b/c/2"), ("", "")])
def test_phase_of_the_same_echo_belongs_to_the_scan(tmp_path, places):
    study, work = tmp_path / "study", tmp_path / "work"
    work.mkdir()
    write_classic(study / places[0], oblique(), number=5)
    write_classic(study / places[1], oblique(), number=6, kind="P")
    case = study_of(study, work)
    assert case.item()["phase"] == str(case.phase)
    sidecars = [json.loads(path.with_suffix(".json").read_text()) for path in (case.image, case.phase)]
    assert [(sidecar["SeriesNumber"], sidecar["EchoTime"]) for sidecar in sidecars] == [(5, 0.02), (6, 0.02)]
    np.testing.assert_allclose(nib.load(case.phase).affine, nib.load(case.image).affine)
    assert len(case.dicom) == 24
    assert {path.name for path in work.rglob("*.nii")} == {case.image.name, case.phase.name}


@pytest.mark.parametrize("other", [{"geometry": oblique(25), "kind": "P"}, {"kind": "REAL"}, {"kind": "M"}])
def test_phase_of_another_grid_or_a_real_part_is_left_out(tmp_path, other):
    write_classic(tmp_path / "study" / "1", oblique(), number=5, description="swi")
    write_classic(tmp_path / "study" / "2", number=6, **{"geometry": oblique(), **other})
    case = study_of(tmp_path / "study", tmp_path)
    assert case.phase is None
    assert "phase" not in case.item()
    assert "series 5 'swi'" in case.notes[0]


def test_series_spread_over_folders_and_copied_is_one_scan(tmp_path):
    write_classic(tmp_path / "study" / "A", oblique(), echoes=(20.0,))
    for path in sorted((tmp_path / "study" / "A").iterdir())[::2]:
        (tmp_path / "study" / "B").mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / "study" / "B" / path.name)
        path.rename(tmp_path / "study" / f"copy_{path.name}")
    case = study_of(tmp_path / "study", tmp_path)
    assert nib.load(case.image).shape == (48, 40, 12)
    assert len(case.dicom) == 12


def test_each_study_is_called_after_its_folders(tmp_path):
    for number, place in enumerate(("a/1/mag", "a/1/swi", "a/2/swi", "b/swi", "b/swi")):
        study = f"1.2.{max(1, number)}"
        write_classic(tmp_path / "people" / place, oblique(), study=study, number=number, echoes=(20.0,))
        (tmp_path / "people" / place / "0_broken").write_bytes(bytes(128) + b"DICM")
    cases = {case.name: case for case in find_cases(tmp_path / "people")}
    first, second = (f"b_swi_{sha256(uid.encode()).hexdigest()[:8]}" for uid in ("1.2.3", "1.2.4"))
    assert set(cases) == {"a_1", "a_2_swi", first, second}
    assert all(cases[name].converted(tmp_path).notes for name in cases)


def test_folder_of_another_modality_is_named(tmp_path):
    write_classic(tmp_path / "study", oblique())
    for path in (tmp_path / "study").iterdir():
        header = pydicom.dcmread(path)
        header.Modality = "CT"
        header.save_as(path)
    with pytest.raises(InputError, match="must hold MR images, its 24 DICOM files are of modality CT"):
        study_of(tmp_path / "study", tmp_path)


def test_what_cannot_be_read_or_converted_is_noted(tmp_path):
    write_classic(tmp_path / "study" / "good", oblique(), number=5)
    write_classic(tmp_path / "study" / "bad", oblique(), number=6, description="swi", echoes=(20.0,))
    sorted((tmp_path / "study" / "bad").iterdir())[3].unlink()
    (tmp_path / "study" / "broken").write_bytes(bytes(128) + b"DICM" + bytes(9))
    case = study_of(tmp_path / "study", tmp_path)
    notes = "\n".join(case.notes)
    assert "series 6 'swi' in DICOM folder" in case.warnings[0]
    assert f"1 DICOM files cannot be read, the first is '{tmp_path}/study/broken'" in notes
    assert "series 5 't2star'" in case.notes[0]


def test_results_beside_a_study_are_no_series_of_it(tmp_path):
    write_classic(tmp_path / "study", oblique())
    (tmp_path / "study" / ".hidden").mkdir()
    shutil.copyfile(next((tmp_path / "study").glob("IM*")), tmp_path / "study" / ".hidden" / "x")
    path = next((tmp_path / "study").glob("IM*"))
    header = pydicom.dcmread(path)
    header.Modality, header.SeriesInstanceUID, header.SOPInstanceUID = "SEG", "1.2.3.4", "1.2.3.5"
    header.save_as(tmp_path / "study" / "a_seg.dcm")
    assert len(study_of(tmp_path / "study", tmp_path).dicom) == 24
