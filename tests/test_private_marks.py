"""Nothing of a person or a machine goes from DICOM files, names of folders and paths into results, pages and logs.

Each tag of a study has a mark of its own. All that a detection writes and prints is searched for each mark: tables,
pages, decompressed maps, and DICOM objects, which need a few of them.
"""

import gzip
import json
import platform

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_study import change, write_series
from small_bundle import write_classifier, write_scan

TEXTS = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "PatientID",
    "OtherPatientIDs",
    "IssuerOfPatientID",
    "PatientAddress",
    "CountryOfResidence",
    "RegionOfResidence",
    "MedicalRecordLocator",
    "EthnicGroup",
    "Occupation",
    "PatientComments",
    "AdditionalPatientHistory",
    "MedicalAlerts",
    "Allergies",
    "PatientReligiousPreference",
    "MilitaryRank",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StudyDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "CurrentPatientLocation",
    "AdmissionID",
    "ScheduledProcedureStepID",
    "DeviceSerialNumber",
    "PatientTelephoneNumbers",
    "StudyID",
    "AccessionNumber",
    "StationName",
    "ProtocolName",
    "StudyComments",
)
DATES = {"PatientBirthDate": "19310203", "AcquisitionDate": "20190405", "ContentDate": "20190406"}
DATES |= {"StudyDate": "20190407"}
NEEDED = {"AccessionNumber", "IssuerOfPatientID", "PatientBirthDate", "PatientID", "PatientName"}
NEEDED |= {"ReferringPhysicianName", "StudyDate", "StudyDescription", "StudyID"}
"""By these a DICOM object belongs to a person and a study: sex and time of the study too, which no mark can be."""
MARKS = {tag: f"zq{number:02d}{tag[:4].lower()}" for number, tag in enumerate(TEXTS)} | DATES
PRIVATE = {"creator": "zqcreator", "private": "zqprivate"}
FOLDERS = {name: name for name in ("zqhome", "zqhospital")}
MACHINE = {"node": platform.node()} if len(platform.node()) > 3 else {}


@pytest.fixture
def folder(tmp_path):
    """Folder in folders whose names are marks."""
    return tmp_path.joinpath(*FOLDERS)


def write_marked(folder):
    """Write a DICOM series in which each tag has its mark, private ones too."""
    paths = write_series(folder)
    change(paths, **MARKS)
    for path in paths:
        header = pydicom.dcmread(path)
        header.private_block(0x0011, PRIVATE["creator"], create=True).add_new(0x01, "LO", PRIVATE["private"])
        header.save_as(path)
    return paths


def found_in(texts, marks):
    """Return which marks are in each text or its name; without those that have none."""
    found = {name: {tag for tag, mark in marks.items() if mark in text + name} for name, text in texts.items()}
    return {name: tags for name, tags in found.items() if tags}


def detect(csvd, source, bundle, tmp_path, *options, command="detect"):
    """Detect, and return the exit code, what was written, decompressed and by name, and what was printed."""
    out, log = tmp_path / "out", tmp_path / "run.log"
    code, said, errors = csvd(command, source, "--out", out, "--bundle", bundle, "--log", log, *options)
    written = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    texts = {
        name: (gzip.decompress(content) if name.endswith(".gz") else content).decode("latin-1")
        for name, content in written.items()
    }
    return code, texts, {"screen": said, "errors": "\n".join(errors), "log": log.read_text(encoding="utf-8")}


def test_dicom_objects_have_the_tags_of_person_and_study_and_all_else_has_none(csvd, folder, bundle, tmp_path):
    write_marked(folder / "study")
    code, written, printed = detect(csvd, folder / "study", bundle, tmp_path, "--dicom")
    assert code == 0
    assert len(written) == 9
    objects = {f"study/study_{end}.dcm": NEEDED for end in ("seg", "sr")}
    assert found_in(written, MARKS | PRIVATE | FOLDERS | MACHINE) == objects
    assert found_in(printed, MARKS | PRIVATE | MACHINE) == {}


def test_classification_leaves_nothing(csvd, folder, tmp_path):
    write_marked(folder / "study")
    classifier = write_classifier(tmp_path / "classifier")
    options = ("--any-sequence", "--age", 71, "--sex", "F")
    code, written, printed = detect(csvd, folder / "study", classifier, tmp_path, *options, command="classify")
    assert code == 0
    assert "study/study.html" in written
    assert found_in(written, MARKS | PRIVATE | FOLDERS | MACHINE) == {}
    assert found_in(printed, MARKS | PRIVATE | MACHINE) == {}


def test_tables_and_pages_name_files_without_the_folders_above_the_input(csvd, folder, bundle, tmp_path):
    write_marked(folder / "cohort" / "a")
    write_series(folder / "cohort" / "b", keep=(0, 1, 2, 7, 8), Modality="MR", StudyInstanceUID="1.2.9")
    code, written, printed = detect(csvd, folder / "cohort", bundle, tmp_path)
    assert code == 1
    assert {"cohort.tsv", "index.html", "a/a.html"} <= written.keys()
    assert "DICOM folder 'cohort/b' must have slices at equal distances" in written["cohort.tsv"]
    assert found_in(written, MARKS | PRIVATE | FOLDERS | MACHINE | {"path": str(tmp_path)}) == {}
    assert str(folder / "cohort" / "b") in printed["errors"]  # who reads it has to find the file


@pytest.mark.parametrize("options", [(), ("--bids",)])
def test_headers_and_sidecars_leave_nothing_in_results(csvd, folder, bundle, tmp_path, options):
    anat = folder / "bids" / "sub-01" / "anat"
    write_scan(anat / "sub-01_T2starw.nii.gz", 1)
    image = nib.Nifti1Image.from_filename(anat / "sub-01_T2starw.nii.gz")
    texts = {name: f"zq{name[:5]}" for name in ("descrip", "aux_file", "db_name", "intent_name", "data_type")}
    for name, mark in texts.items():
        image.header[name] = mark
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"zqcomment"))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), anat / "sub-01_T2starw.nii.gz")
    sidecar = {**MARKS, "EchoTime": "zqecho", "SeriesDescription": ["t2star", "x"]}
    (anat / "sub-01_T2starw.json").write_text(json.dumps(sidecar))
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "zqname", "BIDSVersion": "1.10.0"}')
    (folder / "bids" / "participants.tsv").write_text("participant_id\tage\tsex\tname\nsub-01\t71\tF\tzqperson\n")
    code, written, _ = detect(csvd, folder / "bids", bundle, tmp_path, *options)
    assert code == 0
    warnings = "sidecar 'sub-01_T2starw.json' says EchoTime 'zqecho', which must be a number"
    assert any(warnings in text for text in written.values())
    marks = MARKS | texts | MACHINE | {name: name for name in ("zqcomment", "zqname", "zqperson")}
    assert found_in(written, marks) == {}
    links = {"dataset_description.json": {*FOLDERS}} if options else {}  # BIDS wants to know where the scans are
    assert found_in(written, FOLDERS) == links
