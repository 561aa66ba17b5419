"""DICOM segmentation and report, read back with pydicom and highdicom, and compared with pixels at known places."""

import ast
import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from dicom_study import (
    ECHOES_MS,
    SIZE,
    SPOTS,
    change,
    oblique,
    sagittal,
    take_start,
    write_classic,
    write_enhanced,
    write_series,
)
from pydicom.sr.codedict import codes
from scipy import ndimage

import csvd
from csvd import __version__
from csvd.checks import InputError
from csvd.io import find_cases, write_lesions
from csvd.io.dicom.files import read_dicom
from csvd.io.dicom.source import find_source
from csvd.io.dicom.writer import write_dicom
from csvd.lesions import lesion_table

IDS = (3, 5)
"""Values of the two spots in the instance map; 1, 2 and 4 were other candidates."""


def detect(folder, workdir, lesions=True, warnings=()):
    """Convert a study and write what a perfect detector would; return case, folder of results and source."""
    workdir.mkdir()
    case = find_cases(folder)[0].converted(workdir)
    image = nib.load(case.image)
    volume = image.get_fdata()[..., -1] if image.ndim > 3 else image.get_fdata()
    labels, _ = ndimage.label((volume < 100) & lesions)
    return case, *put_results(case, image, np.array([0, *IDS], dtype=np.int16)[labels], workdir, warnings)


def put_results(case, image, instances, workdir, warnings=()):
    """Write the files of results that the objects are made from."""
    out = workdir / "results"
    out.mkdir()
    nib.save(nib.Nifti1Image(instances, image.affine), out / "a_cmb.nii.gz")
    probability = torch.from_numpy(instances / 7.0)[None]
    write_lesions(lesion_table(torch.from_numpy(instances)[None], probability, image.affine), out / "a_lesions.tsv")
    volume = {"volume": {"index": image.shape[3] - 1}} if image.ndim > 3 else {}
    record = {"threshold": 0.3, "warnings": list(warnings), "input": volume}
    (out / "a.json").write_text(json.dumps(record))
    return out, find_source(case.image, case.dicom)


@pytest.fixture(scope="module", params=["classic", "enhanced", "sagittal"])
def written(request, tmp_path_factory):
    """Segmentation, report and table of a study of two echoes, the references to expect by slice, and its geometry."""
    folder, geometry = tmp_path_factory.mktemp(request.param), sagittal() if request.param == "sagittal" else oblique()
    if request.param != "enhanced":
        uids = write_classic(folder / "study", geometry)
        references = {place: (uid, None) for (echo, place), uid in uids.items() if echo == ECHOES_MS[1]}
    else:
        uid, frames = write_enhanced(folder / "study" / "1.dcm", geometry)
        references = {place: (uid, frame) for (echo, place), frame in frames.items() if echo == ECHOES_MS[1]}
    _, out, source = detect(folder / "study", folder / "work", warnings=["the brain mask is small"])
    write_dicom(out, "a", source)
    rows = list(csv.DictReader((out / "a_lesions.tsv").open(), delimiter="\t"))
    return hd.seg.segread(out / "a_seg.dcm"), hd.sr.srread(out / "a_sr.dcm"), rows, references, geometry


def frames_of(seg):
    """Yield segment number, position of each marked pixel (N, 3) in LPS mm by DICOM's formula, and the source image."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    stored = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, groups in zip(stored, seg.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        axes = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
        spacing = [float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing]
        row, column = frame.nonzero()
        points = corner + np.outer(column * spacing[1], axes[0]) + np.outer(row * spacing[0], axes[1])
        [image] = groups.DerivationImageSequence[0].SourceImageSequence
        yield groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber, points, image


def spots_of(seg):
    """Return the marked points of each segment, stacked."""
    points = {}
    for number, found, _ in frames_of(seg):
        points.setdefault(number, []).append(found)
    return {number: np.concatenate(found) for number, found in points.items()}


def lesion_points(row):
    return np.array([float(row["x_mm"]), float(row["y_mm"]), float(row["z_mm"])]) * (-1, -1, 1)


def test_segments_lie_where_the_spots_were_put(written):
    seg, _, rows, _, geometry = written
    truth = [geometry.point(*spot) for spot in SPOTS]
    found = spots_of(seg)
    assert sorted(found) == [1, 2]
    for number, row in enumerate(rows, start=1):
        distances = [np.linalg.norm(found[number].mean(axis=0) - point) for point in truth]
        assert min(distances) < 0.09  # a tenth of the smallest voxel edge
        assert len(found[number]) == 7
        np.testing.assert_allclose(lesion_points(row), truth[int(np.argmin(distances))], atol=0.01)


def test_direction_cosines_of_three_decimals_are_worked_with(tmp_path):
    exact = oblique()
    geometry = replace(exact, along_row=exact.along_row.round(3), along_column=exact.along_column.round(3))
    assert abs(geometry.along_row @ geometry.along_column) > 1e-4  # highdicom's Volume refuses these
    write_classic(tmp_path / "study", geometry, echoes=(20.0,))
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    write_dicom(out, "a", source)
    found = np.concatenate([*spots_of(hd.seg.segread(out / "a_seg.dcm")).values()])
    for spot in SPOTS:
        assert np.linalg.norm(found - geometry.point(*spot), axis=1).min() < 0.09


def test_frames_reference_the_images_of_their_slices(written):
    seg, _, _, references, geometry = written
    for _, points, image in frames_of(seg):
        place = round(float((points[0] - geometry.corner_mm) @ geometry.normal) / 3.0)
        assert (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")) == references[place]
        assert image.SpatialLocationsPreserved == "YES"


def test_pixels_of_a_source_image_are_those_of_its_spots(written, tmp_path):
    seg, _, _, references, _ = written
    place = SPOTS[0][2]
    uid, frame = references[place]
    if frame is None:
        mask = seg.get_pixels_by_source_instance([uid], combine_segments=True)[0]
    else:
        mask = seg.get_pixels_by_source_frame(uid, [frame], combine_segments=True)[0]
    expected = {(20, 31), (19, 31), (21, 31), (20, 30), (20, 32)}
    assert set(zip(*(axis.tolist() for axis in mask.nonzero()), strict=True)) == expected


def test_other_echo_is_not_referenced(written):
    seg, report, _, references, _ = written
    used = {uid for uid, _ in references.values()}
    listed = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert listed == used
    assert {str(uid) for _, _, uid, _ in report.get_evidence()} == used | {seg.SOPInstanceUID}


def test_patient_and_study_are_those_of_the_source(written):
    for made in written[:2]:
        assert (str(made.PatientName), made.PatientID, made.PatientSex) == ("Müller^Änne", "7", "F")
        assert (made.StudyInstanceUID, made.StudyDate, made.AccessionNumber) == ("1.2.3", "20200102", "A7")
        assert (made.Manufacturer, made.SoftwareVersions) == ("csvd", __version__)
        assert "Research use only" in made.SeriesDescription
    assert written[0].FrameOfReferenceUID == "1.2.3.9"


def test_segments_are_named_and_coded(written):
    seg, _, rows, _, _ = written
    for number, row in enumerate(rows, start=1):
        segment = seg.get_segment_description(number)
        assert segment.segment_label == f"suspected microbleed {row['id']}"
        assert segment.segmented_property_type == codes.SCT.Hemorrhage
        assert segment.algorithm_identification.version == __version__
        assert segment.algorithm_identification.parameters == {"threshold": "0.3"}
    assert seg.SegmentationType == "BINARY"
    assert [row["id"] for row in rows] == [str(number) for number in IDS]


def test_report_says_what_the_table_says(written):
    seg, report, rows, _, _ = written
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(rows)
    for number, (group, row) in enumerate(zip(groups, rows, strict=True), start=1):
        values = {measurement.name.meaning: measurement.value for measurement in group.get_measurements()}
        assert values == {
            "Volume": float(row["volume_mm3"]),
            "Diameter": float(row["diameter_mm"]),
            "Probability": float(row["probability"]),
        }
        assert group.finding_type.meaning == "Suspected cerebral microbleed"
        segment = seg.get_segment_description(number)
        assert (group.tracking_uid, group.tracking_identifier) == (segment.tracking_uid, segment.tracking_id)
        assert group.referenced_segment.referenced_sop_instance_uid == seg.SOPInstanceUID
        assert group.referenced_segment.referenced_segment_numbers == [number]
        [centre] = [item for item in group[0].ContentSequence if item.ValueType == "SCOORD3D"]
        np.testing.assert_allclose(centre.value[0], lesion_points(row), atol=1e-4)
        assert centre.ReferencedFrameOfReferenceUID == seg.FrameOfReferenceUID


def test_report_counts_warns_and_is_for_research(written):
    _, report, rows, _, _ = written
    [total] = report.content.get_image_measurement_groups()
    assert [measurement.value for measurement in total.get_measurements()] == [len(rows)]
    texts = [item for item in report.ContentSequence if item.ValueType == "TEXT"]
    comments = [item.TextValue for item in texts if item.name == codes.DCM.Comment]
    assert comments[0].startswith("Research use only")
    assert comments[1] == "the brain mask is small"
    assert report.VerificationFlag == "UNVERIFIED"


def test_region_side_and_susceptibility_are_told_where_they_are_known(tmp_path):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    table = re.sub(
        r"(\.\d{4}\t)n/a\tn/a\tn/a\t", r"\1lobar\tleft\tfrontal\t", (out / "a_lesions.tsv").read_text(), count=1
    )
    head, first, second = table.splitlines()
    (out / "a_lesions.tsv").write_text(f"{head}\tsusceptibility\n{first}\tunclear\n{second}\tn/a\n")
    write_dicom(out, "a", source)
    first, second = hd.sr.srread(out / "a_sr.dcm").content.get_volumetric_roi_measurement_groups()
    told = {item.name.meaning: item.value.meaning for item in first.get_qualitative_evaluations()}
    assert told == {
        "Region, approximate": "Lobar",
        "Region of the Microbleed Anatomical Rating Scale, approximate": "Frontal",
        "Sign of magnetic susceptibility": "Unclear",
    }
    assert (first.finding_sites[0].value, first.finding_sites[0].laterality) == (codes.SCT.FrontalLobe, codes.SCT.Left)
    assert second.get_qualitative_evaluations() == []
    assert (second.finding_sites[0].value, second.finding_sites[0].laterality) == (codes.SCT.Brain, None)


def test_large_lesion_is_told_with_its_sizes_and_is_no_microbleed(tmp_path):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    with (out / "a_lesions.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    measured = {"longest_mm": "3.20", "slices": "2", "contrast_percent": "61.00", "difference": "431.1", "cnr": "9.50"}
    rows[0] |= {**measured, "large": "0"}
    rows[1] |= {**measured, "longest_mm": "12.50", "contrast_percent": "n/a", "large": "1"}
    with (out / "a_lesions.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    write_dicom(out, "a", source)
    report, seg = hd.sr.srread(out / "a_sr.dcm").content, hd.seg.segread(out / "a_seg.dcm")
    small, large = report.get_volumetric_roi_measurement_groups()
    told = {one.name.meaning: (one.value, one.unit.value) for one in small.get_measurements()}
    assert told["Long axis"] == (3.2, "mm")
    assert told["Number of slices"] == (2, "1")
    assert told["Contrast to local background"] == (61, "%")
    assert told["Difference to local background"] == (431.1, "1")
    assert told["Contrast to noise"] == (9.5, "1")
    assert "half contrast" in small.get_measurements()[0].method.meaning
    assert small.finding_type.meaning == "Suspected cerebral microbleed"
    assert large.finding_type.meaning == "Lesion larger than 10 mm: macrobleed or cavernoma?"
    assert "Contrast to local background" not in {one.name.meaning for one in large.get_measurements()}
    counts = {one.finding_type.meaning: one for one in report.get_image_measurement_groups()}
    assert {name: one.get_measurements()[0].value for name, one in counts.items()} == {
        "Suspected cerebral microbleed": 1,
        "Lesion larger than 10 mm: macrobleed or cavernoma?": 1,
    }
    labels = [seg.get_segment_description(number).segment_label for number in (1, 2)]
    assert labels == ["suspected microbleed 3", "lesion larger than 10 mm 5"]


@pytest.mark.parametrize("cells", [[(20, 31, 4)], [(20, 31, 4), (20, 31, 5)]])
def test_scan_with_one_lesion_gets_both_objects(tmp_path, cells):
    volume = np.random.default_rng(0).integers(700, 900, SIZE).astype(np.uint16)
    volume[tuple(np.transpose(cells))] = 20
    write_series(tmp_path / "study", volume)
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    write_dicom(out, "a", source)
    [found] = spots_of(hd.seg.segread(out / "a_seg.dcm")).values()
    truth = [oblique().point(*cell) for cell in cells]
    np.testing.assert_allclose(found[found[:, 2].argsort()], np.array(sorted(truth, key=lambda one: one[2])), atol=0.09)
    [group] = hd.sr.srread(out / "a_sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert group.referenced_segment.referenced_segment_numbers == [1]


def test_scan_without_lesions_gets_a_report_of_none(tmp_path):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work", lesions=False)
    assert [path.name for path in write_dicom(out, "a", source)] == ["a_sr.dcm"]
    report = hd.sr.srread(out / "a_sr.dcm")
    [total] = report.content.get_image_measurement_groups()
    assert total.get_measurements()[0].value == 0
    assert len(report.get_evidence()) == 12


def test_what_an_anonymising_program_took_is_left_empty(tmp_path):
    write_classic(tmp_path / "study", oblique())
    for path in (tmp_path / "study").iterdir():
        header = pydicom.dcmread(path)
        del header.PatientName, header.PatientBirthDate, header.StudyID, header.AccessionNumber
        header.PatientSex = "unknown"
        header.save_as(path)
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    for path in write_dicom(out, "a", source):
        made = pydicom.dcmread(path)
        assert (str(made.PatientName), made.PatientBirthDate, made.PatientSex) == ("", "", "")


def test_neither_file_is_left_when_one_cannot_be_written(tmp_path, monkeypatch):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(hd.sr.Comprehensive3DSR, "save_as", fail)
    with pytest.raises(OSError, match="disk full"):
        write_dicom(out, "a", source)
    assert not list(out.glob("*.dcm"))


def test_missing_slice_is_named(tmp_path):
    write_classic(tmp_path / "study", oblique(), echoes=(20.0,))
    (tmp_path / "work").mkdir()
    case = find_cases(tmp_path / "study")[0].converted(tmp_path / "work")
    with pytest.raises(InputError, match=r"study' cannot be written as DICOM: .* 12 slices .* 11 have \[1\]\. Are"):
        find_source(case.image, case.dicom[1:])


def test_other_pixels_are_noticed(tmp_path):
    write_classic(tmp_path / "study", oblique())
    case, _, _ = detect(tmp_path / "study", tmp_path / "work")
    image = nib.load(case.image)
    nib.save(nib.Nifti1Image(image.get_fdata()[::-1].astype(np.int16), image.affine), case.image)
    with pytest.raises(InputError, match=r"its slice should look like the DICOM image '.*IM.*', it does not"):
        find_source(case.image, case.dicom)


@pytest.mark.parametrize(
    ("tags", "start"),
    [
        ({}, "implicit"),
        ({}, "explicit"),
        ({}, "group 2"),
        ({"InstanceNumber": lambda place: (5 * place) % 12 + 1}, None),
        ({"InstanceNumber": 1}, None),
        ({"InstanceNumber": None, "SeriesNumber": None}, None),
        ({"twice": True}, None),
        ({"phase": True}, None),
    ],
)
def test_objects_reference_the_files_that_show_the_spots_whatever_the_export_did(tmp_path, tags, start):
    study, tags = tmp_path / "study", dict(tags)
    twice, phase = tags.pop("twice", False), tags.pop("phase", False)
    paths = write_series(study, SeriesInstanceUID="1.2.3.4", **tags)
    if phase:
        write_series(study, prefix="p", types=("ORIGINAL", "PRIMARY", "P"), SeriesInstanceUID="1.2.3.4")
    for path in paths:
        if start:
            take_start(path, start)
        if twice:
            shutil.copyfile(path, path.with_name(f"z{path.name}"))
            change([path.with_name(f"z{path.name}")], SOPInstanceUID=f"1.2.3.4.1{path.name[1:]}")
    _, out, source = detect(study, tmp_path / "work")
    write_dicom(out, "a", source)
    files = {read_dicom(path).SOPInstanceUID: path for path in paths}
    seg = hd.seg.segread(out / "a_seg.dcm")
    shown = {image.ReferencedSOPInstanceUID: points for _, points, image in frames_of(seg)}
    assert {files[uid] for uid in shown} == {paths[place + step] for *_, place in SPOTS for step in (-1, 0, 1)}
    for uid, points in shown.items():
        assert read_dicom(files[uid], pixels=True).pixel_array.min() == 20
        place = paths.index(files[uid])
        np.testing.assert_allclose((points - oblique().corner_mm) @ oblique().normal, 3.0 * place, atol=1e-3)


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
def test_identifiers_that_do_not_hold_together_are_named(tmp_path, tag):
    same = tag == "SOPInstanceUID"
    write_series(tmp_path / "study", **{tag: "1.2.3.4.5" if same else lambda place: f"1.2.3.{place + 50}"})
    wanted, found = (12, 1) if same else (1, 12)
    with pytest.raises(
        InputError, match=f"/study' .* 12 DICOM files must have {wanted} {tag}, they have {found}. Leave"
    ):
        detect(tmp_path / "study", tmp_path / "work")


def test_missing_frame_of_reference_is_named(tmp_path):
    write_classic(tmp_path / "study", oblique())
    for path in (tmp_path / "study").iterdir():
        header = pydicom.dcmread(path)
        del header.FrameOfReferenceUID
        header.save_as(path)
    with pytest.raises(InputError, match="its 12 DICOM files must have 1 FrameOfReferenceUID, they have none"):
        detect(tmp_path / "study", tmp_path / "work")


def test_results_of_another_scan_are_refused(tmp_path):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    image = nib.load(out / "a_cmb.nii.gz")
    nib.save(nib.Nifti1Image(image.get_fdata().astype(np.int16), np.eye(4)), out / "a_cmb.nii.gz")
    with pytest.raises(InputError, match=r"a_cmb\.nii\.gz' is not on the grid of the scan in .*study'"):
        write_dicom(out, "a", source)


def test_table_that_lacks_a_lesion_of_the_map_is_refused(tmp_path):
    write_classic(tmp_path / "study", oblique())
    _, out, source = detect(tmp_path / "study", tmp_path / "work")
    lines = (out / "a_lesions.tsv").read_text().splitlines(keepends=True)
    (out / "a_lesions.tsv").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"must have the same lesions in map and table, \[5\] differ"):
        write_dicom(out, "a", source)


def test_phase_of_ge_is_told_from_magnitude_by_its_private_tag(tmp_path):
    write_classic(tmp_path / "study", oblique(), echoes=(20.0,))
    case, _, source = detect(tmp_path / "study", tmp_path / "work")
    copies = []
    for path in case.dicom:
        header = pydicom.dcmread(path)
        header.add_new((0x0043, 0x0010), "LO", "GEMS_PARM_01")
        header.add_new((0x0043, 0x102F), "SS", 1)
        header.SOPInstanceUID += ".1"
        copies.append(path.with_name(path.name + "_phase"))
        header.save_as(copies[-1])
    both = find_source(case.image, [*copies, *case.dicom])
    uids = [[plane.header.SOPInstanceUID for plane in found.volumes[0]] for found in (source, both)]
    assert sorted(uids[0]) == sorted(uids[1])


@pytest.mark.parametrize(
    "series",
    [
        "siemens-gre-magphase-dicom",
        "siemens-xa30-enhanced-dicom",
        "siemens-xa30-enhanced-dicom/7_func-bold_task-fa_run-1",
        "dwi-b0-b1000-philips/dicom_b0",
    ],
)
def test_real_pixels_under_the_segment_are_those_of_the_scan(real_scans, tmp_path, series):
    """Each marked pixel of a referenced image has the value of the voxel that was labelled."""
    shutil.copytree(real_scans / series, tmp_path / "study", copy_function=shutil.copyfile)
    (tmp_path / "work").mkdir()
    case = find_cases(tmp_path / "study")[0].converted(tmp_path / "work")
    image = nib.load(case.image)
    volume = image.dataobj.get_unscaled()
    volume = volume[..., -1] if volume.ndim > 3 else volume
    instances = np.zeros(volume.shape, dtype=np.int16)
    instances[20:23, 31:33, 10:12], instances[40:42, 22:26, 5] = IDS
    out, source = put_results(case, image, instances, tmp_path / "work")
    write_dicom(out, "a", source)
    seg = hd.seg.segread(out / "a_seg.dcm")
    files = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in case.dicom}
    marked = {1: [], 2: []}
    for frame, (number, _, image) in zip(seg.pixel_array, frames_of(seg), strict=True):
        stored = pydicom.dcmread(files[image.ReferencedSOPInstanceUID]).pixel_array
        stored = stored[image.ReferencedFrameNumber - 1] if "ReferencedFrameNumber" in image else stored
        marked[number] += stored[frame > 0].tolist()
    for number, value in enumerate(IDS, start=1):
        assert sorted(marked[number]) == sorted(volume[instances == value].tolist())


def test_real_mosaic_is_referenced_as_a_whole(real_scans, tmp_path):
    _, out, source = detect(real_scans / "siemens-mefmri-t2star-dicom" / "4_me_fMRI", tmp_path / "work", lesions=False)
    instances = np.zeros(source.grid[1], dtype=np.int16)
    instances[30, 21, 9], instances[12, 40, 20] = IDS
    image = nib.load(source.scan)
    nib.save(nib.Nifti1Image(instances, image.affine), out / "a_cmb.nii.gz")
    rows = lesion_table(torch.from_numpy(instances)[None], torch.from_numpy(instances)[None] / 7.0, image.affine)
    write_lesions(rows, out / "a_lesions.tsv")
    write_dicom(out, "a", source)
    seg = hd.seg.segread(out / "a_seg.dcm")
    found = spots_of(seg)
    for number, row in enumerate(rows, start=1):
        np.testing.assert_allclose(found[number][0] * (-1, -1, 1), (row.x_mm, row.y_mm, row.z_mm), atol=0.01)
    images = [image for _, _, image in frames_of(seg)]
    assert {image.SpatialLocationsPreserved for image in images} == {"NO"}
    last = source.volumes[-1][0].header
    assert {image.ReferencedSOPInstanceUID for image in images} == {last.SOPInstanceUID}
    assert float(last.EchoTime) == 37.83


def test_only_the_dicom_objects_need_highdicom():
    """MONAI Label runs the rest with an older pydicom, or none: those imports stay inside functions elsewhere."""
    objects = ("measurements", "segmentation", "source", "writer")
    package = Path(csvd.__file__).parent
    assert all((package / "io" / "dicom" / f"{name}.py").exists() for name in objects)
    for path in package.rglob("*.py"):
        in_dicom = path.parent == package / "io" / "dicom"
        if in_dicom and path.stem in objects:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("pydicom", "highdicom") for name in names), path
            assert not any(name.endswith(f"dicom.{one}") for name in names for one in objects), path
            assert not (in_dicom and set(names) & set(objects)), path
