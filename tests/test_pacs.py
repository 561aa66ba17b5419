"""A real PACS: Orthanc gets a simulated study by storescu, csvd works on it by DICOMweb and stores its results back."""

import os
import signal
import threading
import time
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import requests
from dicom_study import write_series
from orthanc import running_orthanc, send
from served_study import CASE, STUDY, served  # noqa: F401
from test_dicomweb import no_credentials  # noqa: F401  # a fixture of every test
from test_report_dicom import frames_of, spots_of

from csvd.bundles import find_bundle
from csvd.io.tables import read_table
from csvd.io.web_cases import web_case_name
from csvd.workflows.pacs import detect_studies

pytestmark = pytest.mark.integration

WITHIN_MM = 1.0
MOST = 0.8
"""Share of the simulated microbleeds that is found: the others are next to vessels, or too faint."""
AXES = ("x_mm", "y_mm", "z_mm")


def points(rows):
    return np.array([[float(row[axis]) for axis in AXES] for row in rows])


@pytest.fixture
def found(served):  # noqa: F811
    """Rows of the table, and for each the true lesion whose middle is within a millimetre, else None."""
    rows, truth = read_table(served.results / CASE / f"{CASE}_lesions.tsv"), served.subject.lesions
    distance = np.linalg.norm(points(rows)[:, None] - points(truth), axis=2)
    return rows, [truth[near.argmin()] if near.min() < WITHIN_MM else None for near in distance]


def test_table_is_the_truth_of_the_simulation(served, found):  # noqa: F811
    rows, nearest = found
    hits = {lesion["id"] for lesion in nearest if lesion}
    assert served.row["counts"]["total"] == len(rows) <= len(hits) + 1
    assert len(hits) >= MOST * len(served.subject.lesions) > 10
    for row, lesion in zip(rows, nearest, strict=True):
        if lesion:
            assert (row["region"], row["side"], row["mars"]) == (lesion["region"], lesion["side"], lesion["mars"])
            assert row["susceptibility"] == "paramagnetic"


def test_series_and_phase_are_those_of_the_study(served):  # noqa: F811
    assert served.row["phase"]["kind"] == "phase"
    assert any("series 1 't2_gre_swi', magnitude, chosen from 3 images" in note for note in served.row["notes"])
    assert served.row["warnings"] == []


def test_segments_on_the_server_lie_on_the_true_lesions(served, found):  # noqa: F811
    rows, nearest = found
    [path] = served.files("SEG")
    seg = hd.seg.segread(path)
    marked = spots_of(seg)
    assert sorted(marked) == [*range(1, len(rows) + 1)]
    for number, (row, lesion) in enumerate(zip(rows, nearest, strict=True), start=1):
        assert seg.get_segment_description(number).segment_label == f"suspected microbleed {row['id']}"
        if lesion:
            middle = marked[number].mean(axis=0) * (-1, -1, 1)
            assert np.linalg.norm(middle - points([lesion])[0]) < 2 * WITHIN_MM  # of whole voxels


def test_points_of_the_report_on_the_server_are_the_true_lesions(served, found):  # noqa: F811
    rows, nearest = found
    [path] = served.files("SR")
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    for group, row, lesion in zip(groups, rows, nearest, strict=True):
        [centre] = [item for item in group[0].ContentSequence if item.ValueType == "SCOORD3D"]
        ras = centre.value[0] * (-1, -1, 1)
        np.testing.assert_allclose(ras, points([row])[0], atol=1e-3)
        assert lesion is None or np.linalg.norm(ras - points([lesion])[0]) < WITHIN_MM


def test_objects_refer_to_the_images_on_the_server(served):  # noqa: F811
    [seg], [report] = served.fetched("SEG"), served.fetched("SR")
    images = {one.SOPInstanceUID: one for one in served.fetched("MR") if one.SeriesInstanceUID == f"{STUDY}.1"}
    for made in (seg, report):
        first = next(iter(images.values()))
        for name in (
            "StudyInstanceUID",
            "PatientID",
            "PatientName",
            "PatientBirthDate",
            "StudyDate",
            "AccessionNumber",
        ):
            assert made[name].value == first[name].value
    assert seg.FrameOfReferenceUID == f"{STUDY}.9"
    for groups, (_, _, image) in zip(seg.PerFrameFunctionalGroupsSequence, frames_of(seg), strict=True):
        corner = groups.PlanePositionSequence[0].ImagePositionPatient
        assert images[image.ReferencedSOPInstanceUID].ImagePositionPatient == corner
    [evidence] = report.CurrentRequestedProcedureEvidenceSequence
    listed = [one for series in evidence.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    assert {one.ReferencedSOPInstanceUID for one in listed} == {*images, seg.SOPInstanceUID}
    groups = hd.sr.srread(served.files("SR")[0]).content.get_volumetric_roi_measurement_groups()
    assert {group.referenced_segment.referenced_sop_instance_uid for group in groups} == {seg.SOPInstanceUID}


def test_each_object_is_on_the_server_once_also_when_the_command_is_repeated(served):  # noqa: F811
    before = [served.server.instances(STUDY, [modality]) for modality in ("SEG", "SR")]
    assert [len(one) for one in before] == [1, 1]
    how = {"store": True, "resume": True}
    [row] = detect_studies(served.server.dicomweb, [STUDY], served.results, find_bundle("cmb_detection"), **how)
    assert (row["status"], row["stored"]) == ("ok", 2)
    assert [served.server.instances(STUDY, [modality]) for modality in ("SEG", "SR")] == before


def test_watch_takes_what_comes_to_a_server_with_a_password(csvd, bundle, tmp_path, monkeypatch):
    """The second study comes while the command waits; a signal ends it when both are done."""
    studies, table = ("1.2.3.1", "1.2.3.2"), tmp_path / "out" / "studies.tsv"
    for study in studies:
        write_series(tmp_path / study, StudyInstanceUID=study, PatientID=study)
    with running_orthanc(tmp_path / "orthanc", auth=("csvd", "secret")) as server:
        send(server, tmp_path / studies[0])

        def noted():
            return len(read_table(table)) if table.exists() else 0

        def go_on():
            until = time.monotonic() + 120
            while noted() < 1 and time.monotonic() < until:
                time.sleep(0.1)
            send(server, tmp_path / studies[1])
            while noted() < 2 and time.monotonic() < until:
                time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGTERM)

        words = ("--dicomweb", server.dicomweb, "--watch", "ModalitiesInStudy=MR", "--interval", 0.3, "--store")
        command = ("detect", *words, "--out", tmp_path / "out", "--bundle", bundle, "--any-sequence")
        code, _, errors = csvd(*command)
        assert (code, len(errors)) == (2, 1)
        assert f"server '{server.dicomweb}' must let csvd in, it answers 401" in errors[0]
        monkeypatch.setenv("CSVD_DICOMWEB_USER", "csvd")
        monkeypatch.setenv("CSVD_DICOMWEB_PASSWORD", "secret")
        thread = threading.Thread(target=go_on)
        thread.start()
        code, output, errors = csvd(*command)
        thread.join()
        assert (code, errors) == (0, [])
        assert [web_case_name(study) in output for study in studies] == [True, True]
        kept = [len(server.instances(study, [kind])) for study in studies for kind in ("MR", "SEG", "SR")]
        assert kept == [12, 1, 1, 12, 1, 1]
    with pytest.raises(requests.ConnectionError):
        server.get("/system")


def test_documented_command_stores_results(csvd, bundle, tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "pacs.md").read_text()
    documented = next(line for line in text.splitlines() if line.startswith("csvd detect"))
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "sent")
    with running_orthanc(tmp_path / "orthanc") as server:
        send(server, tmp_path / "sent")
        words = documented.replace("https://pacs.example.org/dicom-web", server.dicomweb).split()
        words[words.index("--study") + 1] = "1.2.3"
        assert csvd(*words[1:], "--bundle", bundle, "--any-sequence")[0] == 0
        assert len(server.instances("1.2.3", ["SEG"])) == 1


def test_everything_listens_on_loopback_alone(served):  # noqa: F811
    port = f"{served.server.dicom_port:04X}"
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = [words[1] for words in lines if words[3] == "0A" and words[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]
