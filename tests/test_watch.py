"""A server that is watched: each study is taken once, whatever fails, and however the watch ends."""

import json
import os
import signal
import threading
import time

import pytest
from dicom_study import pixels, write_series
from test_dicomweb import no_credentials  # noqa: F401  # a fixture of every test
from web_server import web_server

from csvd.checks import InputError
from csvd.io.tables import read_table
from csvd.io.web_cases import web_case_name
from csvd.processes import end_at_sigterm
from csvd.workflows.watch import Stop, watch

FIRST, SECOND = "1.2.1", "1.2.2"
POLLS = 6


@pytest.fixture
def server():
    with web_server() as state:
        yield state


@pytest.fixture
def add(server, tmp_path):
    """Function that puts a study of one series on the server, or a part of it; one of constant images fails."""

    def put(study, keep=None, flat=False):
        volume = pixels(20.0)
        if flat:
            volume[:] = 300
        folder = tmp_path / "sent" / f"{study}-{len(server.instances)}"
        names = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.9"}
        names["SOPInstanceUID"] = lambda place: f"{study}.9.{place}"
        server.add(write_series(folder, volume, keep=keep, **names))

    return put


@pytest.fixture
def watched(server, bundle, tmp_path):
    """Function that watches for some polls and returns rows and complaints; ``at`` has what to do before which."""

    def run(at=None, polls=POLLS, stop=None, say=lambda row: None, **how):
        stop, polled, complaints = stop or Stop(), [], []

        def count(handler, path):
            if path.startswith("GET /dicom-web/studies?") and "offset=0" in path:
                polled.append(path)
                (at or {}).get(len(polled), lambda: None)()
                stop.asked = stop.asked or len(polled) == polls
            return False

        server.faults.insert(0, count)
        how = {"any_sequence": True, "store": True, **how}
        ways = {"interval": 0.01, "stop": stop, "say": say, "complain": complaints.append}
        rows = watch(server.url, {"ModalitiesInStudy": "MR"}, tmp_path / "out", bundle, **ways, **how)
        server.faults.remove(count)
        return rows, complaints

    return run


def statuses(rows):
    return [(row["case"], row["status"]) for row in rows]


def test_each_study_is_taken_once_also_after_a_restart(server, add, watched, tmp_path):
    add(FIRST)
    rows, complaints = watched({4: lambda: add(SECOND)}, polls=10)
    both = [(web_case_name(study), "ok") for study in (FIRST, SECOND)]
    assert (statuses(rows), complaints) == (both, [])
    assert statuses(read_table(tmp_path / "out" / "studies.tsv")) == both
    assert sorted(statuses(read_table(tmp_path / "out" / "cohort.tsv"))) == sorted(both)
    assert (tmp_path / "out" / "index.html").exists()
    asked = len([one for one in server.asked if not one.startswith("GET /dicom-web/studies?")])
    assert watched()[0] == []
    assert len([one for one in server.asked if not one.startswith("GET /dicom-web/studies?")]) == asked
    assert [len(server.of(study, kind)) for study in (FIRST, SECOND) for kind in ("SEG", "SR")] == [1, 1, 1, 1]


@pytest.mark.parametrize("counts", [True, False])
def test_study_that_is_still_arriving_is_left_until_it_is_there(server, add, watched, counts):
    server.counts = counts
    add(FIRST, keep=range(4))
    at = {2: lambda: add(FIRST, keep=range(4, 8)), 3: lambda: add(FIRST, keep=range(8, 12))}
    [row], _ = watched(at)
    assert (row["status"], row["input"]["shape"][2]) == ("ok", 12)


def test_failed_study_is_a_row_the_next_one_follows_and_resume_tries_again(server, add, watched, tmp_path):
    add(FIRST, flat=True)
    add(SECOND)
    rows, _ = watched()
    names = [web_case_name(FIRST), web_case_name(SECOND)]
    assert statuses(rows) == [(names[0], "failed"), (names[1], "ok")]
    table = {row["case"]: row for row in read_table(tmp_path / "out" / "cohort.tsv")}
    assert "must not be constant" in table[names[0]]["reason"]
    assert watched()[0] == []
    server.instances = [one for one in server.instances if one.StudyInstanceUID != FIRST]
    add(FIRST)
    assert statuses(watched(resume=True)[0]) == [(names[0], "ok")]
    table = {row["case"]: row for row in read_table(tmp_path / "out" / "cohort.tsv")}
    assert {row["status"] for row in table.values()} == {"ok"}


def test_study_that_was_interrupted_before_it_was_noted_is_completed(server, add, watched, tmp_path):
    add(FIRST)
    watched(store=False, dicom=True)
    record = tmp_path / "out" / web_case_name(FIRST) / f"{web_case_name(FIRST)}.json"
    written = record.stat().st_mtime_ns
    (tmp_path / "out" / "studies.tsv").unlink()
    rows, _ = watched()
    assert [(row["status"], row["stored"]) for row in rows] == [("ok", 2)]
    assert record.stat().st_mtime_ns == written
    assert len(server.of(FIRST, "SEG")) == 1


def test_study_with_a_result_of_another_folder_is_left_out(server, add, watched, tmp_path):
    add(FIRST)
    watched()
    (tmp_path / "out").rename(tmp_path / "other")
    assert watched()[0] == []
    assert not (tmp_path / "out" / "studies.tsv").exists()
    assert len(server.of(FIRST, "SEG")) == 1


def test_study_whose_answer_makes_no_sense_is_a_row(server, add, watched):
    add(FIRST)
    server.faults.append(lambda handler, path: path.endswith("SeriesDescription") and handler.reply(200, b"{") is None)
    [row], _ = watched()
    assert (row["status"], "must speak DICOMweb" in row["reason"]) == ("failed", True)


def test_server_in_trouble_is_asked_again_later(server, add, watched):
    add(FIRST)

    def refuse(handler, path):
        handler.reply(503, b"")
        return True

    rows, complaints = watched(
        {2: lambda: server.faults.append(refuse), 4: lambda: server.faults.remove(refuse)}, polls=9
    )
    assert [row["status"] for row in rows] == ["ok"]
    assert len(complaints) == 2
    assert all("it answers 503" in one for one in complaints)


def test_server_that_does_not_answer_at_the_start_ends_the_command(server, watched):
    server.fail("studies", 401)
    with pytest.raises(InputError, match="must let csvd in"):
        watched()


def test_what_fails_while_the_end_is_asked_for_is_not_noted(server, add, watched, tmp_path):
    add(FIRST)
    stop = Stop()

    def interrupted(handler, path):
        if "/series/" in path:
            stop.asked = True
            handler.reply(500, b"")
        return "/series/" in path

    server.faults.append(interrupted)
    assert watched(stop=stop)[0] == []
    assert not (tmp_path / "out" / "studies.tsv").exists()
    server.faults.clear()
    assert [row["status"] for row in watched()[0]] == ["ok"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_command_when_the_study_is_done(csvd, server, add, bundle, tmp_path, number):
    add(FIRST)
    add(SECOND)

    def end(handler, path):
        if path.endswith(server.instances[0].SeriesInstanceUID):
            os.kill(os.getpid(), number)
        return False

    server.faults.append(end)
    words = ("--watch", "ModalitiesInStudy=MR", "--interval", "0.1", "--store", "--any-sequence", "--json")
    end_at_sigterm()  # as each command does first
    before = signal.getsignal(number)
    code, output, errors = csvd(
        "detect", "--dicomweb", server.url, *words, "--out", tmp_path / "out", "--bundle", bundle
    )
    assert signal.getsignal(number) is before
    assert (code, errors) == (0, [])
    rows = [json.loads(line) for line in output.splitlines()]
    assert statuses(rows) == [(web_case_name(FIRST), "ok")]
    assert len(server.of(FIRST, "SEG")) == 1
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_rows_are_printed_as_they_come_and_the_exit_code_tells_of_failures(csvd, server, add, bundle, tmp_path):
    add(FIRST, flat=True)
    add(SECOND)
    table = tmp_path / "out" / "studies.tsv"

    def end():
        while not (table.exists() and len(read_table(table)) == 2):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    words = ("--watch", "ModalitiesInStudy=MR", "--interval", "0.1", "--store", "--any-sequence")
    code, output, errors = csvd(
        "detect", "--dicomweb", server.url, *words, "--out", tmp_path / "out", "--bundle", bundle
    )
    assert code == 1
    assert f"{web_case_name(SECOND)}: 2 suspected microbleeds, 2 DICOM objects stored, see" in output
    assert errors[0].startswith(f"{web_case_name(FIRST)}: failed: scan '{server.url}' must not be constant")


def test_second_signal_interrupts():
    stop = Stop()
    with stop.by_signal():
        signal.raise_signal(signal.SIGTERM)
        stop.wait(30)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
