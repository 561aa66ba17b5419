"""Studies of a DICOMweb server: fetched, searched, results stored once; a tiny server that can be told to misbehave."""

import json
import socket
import ssl
import subprocess

import pytest
from dicom_study import PATIENT, pixels, write_series
from web_server import BOUNDARY, multipart, web_server

from csvd.checks import InputError
from csvd.io.dicom.web import DicomWeb, filters_of
from csvd.io.records import OWN_SERIES
from csvd.io.tables import read_table
from csvd.io.web_cases import web_case_name

STUDY = "1.2.3"
CASE = web_case_name(STUDY)
CREDENTIALS = ("CSVD_DICOMWEB_USER", "CSVD_DICOMWEB_PASSWORD", "CSVD_DICOMWEB_TOKEN")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch, tmp_path):
    """No credentials of the person who runs the tests."""
    for name in (*CREDENTIALS, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


@pytest.fixture
def server(tmp_path):
    """Server with a study of one series."""
    with web_server() as state:
        state.add(write_series(tmp_path / "sent"))
        yield state


@pytest.fixture
def detect(csvd, server, bundle, tmp_path):
    """Function that runs ``csvd detect`` on the study and returns exit code, output and error lines."""

    def run(*options, study=STUDY):
        return csvd(
            "detect",
            "--dicomweb",
            server.url,
            "--study",
            study,
            "--out",
            tmp_path / "out",
            "--bundle",
            bundle,
            *options,
        )

    return run


def error_of(code_output_errors):
    """Return the one line that told why a command could not run."""
    code, output, errors = code_output_errors
    assert (code, output, len(errors)) == (2, "", 1)
    return errors[0]


def test_study_of_a_server_gets_the_result_that_its_files_get(detect, csvd, bundle, server, tmp_path):
    code, output, errors = detect("--dicom")
    assert (code, errors) == (0, [])
    assert f"{CASE}: 2 suspected microbleeds" in output
    assert csvd("detect", tmp_path / "sent", "--out", tmp_path / "files", "--bundle", bundle)[0] == 0
    tables = [tmp_path / "out" / CASE / f"{CASE}_lesions.tsv", tmp_path / "files" / "sent" / "sent_lesions.tsv"]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    assert not [one for one in server.asked if one.startswith("POST")]
    assert read_table(tmp_path / "out" / "studies.tsv") == [
        {"case": CASE, "study": STUDY, "status": "ok", "stored": "n/a"}
    ]


def test_results_hold_no_identifier_but_in_dicom_objects_and_the_table_of_studies(detect, server, tmp_path):
    for one in server.instances:
        one.StudyInstanceUID = study = "1.2.826.0.1.99.12345"
    assert detect("--dicom", study=study)[0] == 0
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert len(files) > 6
    names = [name.encode() for name in PATIENT["PatientName"].split("^")] + [study.encode(), b"19500101"]
    for path in files:
        content = path.read_bytes()
        held = [name for name in names if name in content or name.decode() in path.name]
        assert held == ([study.encode()] if path.name == "studies.tsv" else []), path
        assert b"csvd-" not in content or path.suffix == ".html"


def test_each_object_is_stored_once_and_refers_to_the_images(detect, server, tmp_path):
    images = {one.SOPInstanceUID for one in server.instances}
    code, output, _ = detect("--store")
    assert code == 0
    assert "2 DICOM objects stored" in output
    [seg], [report] = server.of(STUDY, "SEG"), server.of(STUDY, "SR")
    referenced = {one.ReferencedSOPInstanceUID for one in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == images
    [evidence] = report.CurrentRequestedProcedureEvidenceSequence
    listed = [
        one.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]
    assert {*listed} == images | {seg.SOPInstanceUID}
    assert evidence.StudyInstanceUID == STUDY
    assert detect("--store", "--resume")[0] == 0
    server.instances.remove(report)
    assert detect("--store", "--resume")[0] == 0
    assert (len(server.of(STUDY, "SEG")), len(server.of(STUDY, "SR"))) == (1, 1)
    assert server.of(STUDY, "SR")[0].SOPInstanceUID == report.SOPInstanceUID
    assert sum(one.startswith("POST") for one in server.asked) == 2


def test_objects_are_added_to_results_that_are_there(detect, server, tmp_path):
    assert detect()[0] == 0
    for one in server.instances:
        del one.FrameOfReferenceUID
    code, _, errors = detect("--resume", "--dicom")
    assert code == 1
    assert f"results of DICOM folder '{server.url}' cannot be written as DICOM" in errors[0]
    for one in server.instances:
        one.FrameOfReferenceUID = "1.2.3.9"
    assert detect("--resume", "--store")[0] == 0
    assert [len(server.of(STUDY, kind)) for kind in ("SEG", "SR")] == [1, 1]


def test_results_of_another_run_on_the_server_are_not_added_to_unless_asked(detect, server, tmp_path):
    assert detect("--store")[0] == 0
    (tmp_path / "out").rename(tmp_path / "other")
    assert "must have no result of csvd yet, it has 2 objects. Leave out --store" in error_of(detect("--store"))
    assert not (tmp_path / "out").exists()
    assert detect("--store", "--overwrite")[0] == 0
    assert len(server.of(STUDY, "SEG")) == 2


def test_what_could_not_be_stored_is_a_failed_row_whose_results_resume_sends(detect, server, tmp_path):
    server.fail("POST", 500)
    code, _, errors = detect("--store")
    assert code == 1
    assert f"server '{server.url}' must do what it was asked for, it answers 500" in errors[0]
    assert f"Its results are in '{tmp_path / 'out' / CASE}': --resume sends them." in errors[0]
    assert read_table(tmp_path / "out" / "studies.tsv")[0]["status"] == "failed"
    server.faults.clear()
    assert detect("--store", "--resume")[0] == 0
    assert len(server.of(STUDY, "SEG")) == 1
    assert read_table(tmp_path / "out" / "studies.tsv")[0]["stored"] == "2"


def test_object_that_the_server_refuses_is_told_of(detect, server):
    def refuse(handler, path):
        failed = {"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081197": {"vr": "US", "Value": [0xA700]}}
        if path.startswith("POST"):
            handler.reply(202, json.dumps({"00081198": {"vr": "SQ", "Value": [failed]}}).encode())
        return path.startswith("POST")

    server.faults.append(refuse)
    code, _, errors = detect("--store")
    assert code == 1
    assert "must take the 2 results, it refused 1 (reason 0xa700)" in errors[0]


def test_series_of_other_modalities_are_not_fetched(detect, server):
    other = server.instances[0].copy()
    other.Modality, other.SeriesInstanceUID, other.SOPInstanceUID = "CT", "1.2.9", "1.2.9.1"
    server.instances.append(other)
    assert detect()[0] == 0
    assert not [one for one in server.asked if one.endswith("series/1.2.9")]


def test_study_without_mr_is_a_row(detect, server):
    for one in server.instances:
        one.Modality = "CT"
    code, _, errors = detect()
    assert code == 1
    assert errors == [
        f"{CASE}: failed: study on server '{server.url}' must hold MR images, its series are of modality CT."
    ]


def test_reason_of_a_study_names_the_server(detect, server):
    flat = pixels(20.0)
    flat[:] = 300
    for one, number in zip(server.instances, range(flat.shape[2]), strict=True):
        one.PixelData = flat[:, :, number].tobytes()
    code, _, errors = detect("--any-sequence")
    assert code == 1
    assert f"scan '{server.url}' must not be constant" in errors[0]


@pytest.mark.parametrize(
    ("part", "status", "message"),
    [
        ("series", 401, "must let csvd in, it answers 401 Unauthorized. Set CSVD_DICOMWEB_USER and"),
        ("series", 403, "must let csvd in, it answers 403"),
        ("series", 404, "must be the address of a DICOMweb service, and have what was asked for: it answers 404"),
        ("series", 503, "must do what it was asked for, it answers 503"),
        ("series", 200, "must speak DICOMweb, its answer is something else"),
    ],
)
def test_refusals_are_one_line_with_the_address(detect, server, part, status, message):
    server.fail(part, status)
    assert error_of(detect()).startswith(f"csvd: server '{server.url}' {message}")


@pytest.mark.parametrize("answer", [b"<html>", b'{"error": 1}', b'["a"]', b'[{"0020000E": {"Value": ["../x"]}}]'])
def test_answer_that_is_not_dicomweb_is_called_so(detect, server, answer):
    server.faults.append(lambda handler, path: handler.reply(200, answer) is None)
    assert "must speak DICOMweb" in error_of(detect())


def test_unknown_study_is_named(detect, server):
    line = error_of(detect(study="1.2.4"))
    assert line == f"csvd: server '{server.url}' must have study '1.2.4', it does not. Check the StudyInstanceUID."


@pytest.mark.parametrize("study", ["", "abc", "1.2/../3", "1" * 65, "1.2\n"])
def test_what_is_no_identifier_is_not_sent(server, study):
    with pytest.raises(InputError, match="must be a StudyInstanceUID: digits and dots"):
        DicomWeb(server.url).series(study)
    assert server.asked == []


def test_server_that_is_off_cannot_be_reached(csvd, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/dicom-web"
    line = error_of(csvd("detect", "--dicomweb", url, "--study", STUDY, "--out", tmp_path / "out"))
    assert line == f"csvd: server '{url}' cannot be reached: Connection refused. Check the address."


def test_server_that_is_silent_is_left_alone(detect, server, monkeypatch):
    monkeypatch.setattr("csvd.io.dicom.web_session.TIMEOUT_SECONDS", (0.1, 0.1))
    server.faults.append(lambda handler, path: __import__("time").sleep(0.5) is None)
    assert "must answer within 120 seconds, it did not" in error_of(detect())


def test_answer_that_breaks_off_is_a_row(detect, server):
    def part(handler, path):
        if path.startswith("GET") and path.endswith(server.instances[0].SeriesInstanceUID):
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
            body = multipart(server.instances)
            handler.reply(200, body[: len(body) // 2], kind, length=len(body))
            handler.close_connection = True
            return True
        return False

    server.faults.append(part)
    code, _, errors = detect()
    assert code == 1
    assert errors == [f"{CASE}: failed: server '{server.url}' broke off in the middle of an answer. Try again later."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda all_: all_[:-2], "must send all 12 images of a series, 2 did not come. Try again later."),
        (lambda all_: [*all_, all_[0]], "must send the images that were asked for, each once, it sent another one"),
    ],
)
def test_fewer_and_other_images_than_told_of_are_not_taken(detect, server, change, message):
    def answer(handler, path):
        if path.endswith(server.instances[0].SeriesInstanceUID):
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
            handler.reply(200, multipart(change(server.instances)), kind)
        return path.endswith(server.instances[0].SeriesInstanceUID)

    server.faults.append(answer)
    code, _, errors = detect()
    assert code == 1
    assert f"server '{server.url}' {message}" in errors[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:secret@pacs.example.org/web", "server 'https://pacs.example.org/web' must be given without name"),
        ("https://me@pacs.example.org", "server 'https://pacs.example.org' must be given without name"),
        ("ftp://pacs.example.org", "must be the address of a DICOMweb service"),
        ("pacs.example.org", "must be the address of a DICOMweb service"),
        ("https://pacs.example.org:port", "must be the address of a DICOMweb service"),
        ("https://pacs.example.org?study=1", "must be the address of a DICOMweb service"),
    ],
)
def test_address_without_password_is_wanted(url, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")) as error:
        DicomWeb(url)
    assert "secret" not in str(error.value)


def test_credentials_come_from_the_environment_or_netrc(server, monkeypatch, tmp_path):
    DicomWeb(server.url).series(STUDY)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / "netrc").chmod(0o600)
    DicomWeb(server.url).series(STUDY)
    monkeypatch.setenv("CSVD_DICOMWEB_USER", "c")
    with pytest.raises(InputError, match="it has no CSVD_DICOMWEB_PASSWORD"):
        DicomWeb(server.url)
    monkeypatch.setenv("CSVD_DICOMWEB_PASSWORD", "d")
    DicomWeb(server.url).series(STUDY)
    monkeypatch.setenv("CSVD_DICOMWEB_TOKEN", "e")
    DicomWeb(server.url).series(STUDY)
    assert list(dict.fromkeys(server.signed)) == [None, "Basic YTpi", "Basic Yzpk", "Bearer e"]


def test_certificate_is_verified_with_the_authority_of_the_environment(monkeypatch, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *words, "-keyout", key, "-out", certificate]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with web_server(context) as state:
        state.add(write_series(tmp_path / "sent"))
        with pytest.raises(InputError, match=r"must have a certificate that can be verified: .*REQUESTS_CA_BUNDLE"):
            DicomWeb(state.url).series(STUDY)
        assert state.asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert len(DicomWeb(state.url).series(STUDY)[0].instances) == 12


def test_all_pages_of_an_answer_are_read_also_of_a_server_that_knows_none(server, monkeypatch):
    monkeypatch.setattr("csvd.io.dicom.web.PAGE", 5)
    assert len(DicomWeb(server.url).series(STUDY)[0].instances) == 12
    everything = json.dumps([{"00080018": {"Value": [f"1.{number}"]}} for number in range(12)]).encode()
    server.faults.append(lambda handler, path: "/instances" in path and handler.reply(200, everything) is None)
    assert len(DicomWeb(server.url).series(STUDY)[0].instances) == 12


def test_filters_are_keywords_or_tags_with_a_value():
    words = ["ModalitiesInStudy=MR", "00081030=*SWI*", "StudyDate=20260101-"]
    assert filters_of(words) == {"ModalitiesInStudy": "MR", "00081030": "*SWI*", "StudyDate": "20260101-"}


@pytest.mark.parametrize("word", ["ModalitiesInStudy", "ModalitiesInStudy=", "Modalities=MR", "0008=MR"])
def test_filter_that_is_none_is_named(word):
    with pytest.raises(InputError, match=f"filter '{word}' must be a keyword or tag of DICOM and a value"):
        filters_of([word])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--store",), "--study, --watch and --store need a server: give --dicomweb URL."),
        (("--dicomweb", "http://a"), "'http://a' needs either --study UID or --watch NAME=VALUE"),
        (("--dicomweb", "http://a", "--study", "1", "--watch", "Modality=MR"), "needs either --study UID or --watch"),
        (("--dicomweb", "http://a", "--study", "1", "--mask", "m.nii"), "--mask is about files, --dicomweb"),
        (("--dicomweb", "http://a", "--study", "1", "scan.nii"), "source 'scan.nii' is about files, --dicomweb"),
        (("--dicomweb", "http://a", "--watch", "Modality=MR", "--jobs", "2"), "--watch works on one study at a time"),
    ],
)
def test_options_that_do_not_go_together_are_named(csvd, tmp_path, options, message):
    assert message in error_of(csvd("detect", "--out", tmp_path / "out", *options))


def test_command_without_scans_and_server_tells_of_both(csvd, tmp_path):
    code, _, errors = csvd("detect", "--out", tmp_path / "out")
    assert code == 2
    told = " ".join(" ".join(errors).replace("│", " ").split())
    assert "give a scan, a folder or a data list, or --dicomweb URL." in told


def test_descriptions_by_which_own_results_are_known_fit_dicom():
    assert all(text.startswith("csvd: ") and len(text) <= 64 for text in OWN_SERIES.values())
