"""Exit codes, and what is told of scans that fail."""

import json
import re

import pytest
from small_bundle import write_bundle, write_scan

from csvd import __version__


@pytest.fixture
def scans(tmp_path):
    """Folder of a good scan, one that is no NIfTI and one that breaks the network."""
    for seed, name in enumerate(("a", "failscheck", "failsnetwork")):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", seed)
    return tmp_path / "scans"


@pytest.mark.parametrize(
    ("name", "expected"), [("a.nii.gz", 0), ("failscheck.nii.gz", 1), ("failsnetwork.nii.gz", 1), ("none.nii.gz", 2)]
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_exit_code_tells_success_a_failed_scan_and_a_command_that_cannot_run(
    csvd, scans, bundle, tmp_path, name, expected, form
):
    code, output, _ = csvd("detect", scans / name, "--out", tmp_path / "out", "--bundle", bundle, *form)
    assert code == expected
    if form and code < 2:
        assert [row["status"] for row in json.loads(output)] == [["ok"], ["failed"]][code]


def test_exit_code_of_a_folder_is_1_also_when_all_fail(csvd, scans, bundle, tmp_path):
    assert csvd("detect", scans, "--out", tmp_path / "some", "--bundle", bundle)[0] == 1
    (scans / "a.nii.gz").unlink()
    assert csvd("detect", scans, "--out", tmp_path / "all", "--bundle", bundle)[0] == 1


def test_unforeseen_error_is_called_internal_and_its_traceback_is_in_the_log(csvd, scans, bundle, tmp_path):
    log = tmp_path / "run.log"
    _, _, errors = csvd("detect", scans, "--out", tmp_path / "out", "--bundle", bundle, "--log", log)
    foreseen, internal = errors
    assert "is not a sound gzip file" in foreseen
    assert "failsnetwork: failed: internal error, ZeroDivisionError: the network broke." in internal
    text = log.read_text()
    assert re.search(r"INFO a ok, seconds: \{'preprocessing': ", text)
    assert text.count("Traceback (most recent call last)") == 1 + text.count("The above exception was")
    assert 'raise ZeroDivisionError(f"the {stage} broke")' in text
    assert f"failscheck failed: scan '{scans / 'failscheck.nii.gz'}' is not a sound gzip file" in text


def test_debug_shows_the_traceback_on_the_screen(csvd, scans, bundle, tmp_path):
    _, _, errors = csvd("detect", scans / "failsnetwork.nii.gz", "--out", tmp_path, "--bundle", bundle, "--debug")
    assert any('raise ZeroDivisionError(f"the {stage} broke")' in line for line in errors)


def test_log_that_cannot_be_written_ends_the_command(csvd, scans, bundle, tmp_path):
    code, _, errors = csvd("detect", scans, "--out", tmp_path / "out", "--bundle", bundle, "--log", scans)
    assert code == 2
    assert "cannot write to" in " ".join(errors)
    assert not (tmp_path / "out").exists()


def test_bundle_that_cannot_be_made_ends_the_command_in_several_processes_too(
    csvd, scans, bundle, tmp_path, quick_processes
):
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    config["network_def"]["_requires_"] = {"_target_": "csvd.require", "version": "0.0.1"}
    other = write_bundle(tmp_path / "other")
    (other / "configs" / "inference.json").write_text(json.dumps(config))
    for jobs in (1, 2):
        code, _, errors = csvd("detect", scans, "--out", tmp_path / "out", "--bundle", other, "--jobs", jobs)
        assert code == 2
        assert "the bundle was made with csvd 0.0.1" in errors[-1]


def test_failed_scan_whose_earlier_result_is_still_there_says_so(csvd, scans, bundle, tmp_path):
    out = tmp_path / "out"
    write_scan(scans / "b.nii.gz", 4)
    assert csvd("detect", scans / "b.nii.gz", "--out", out, "--bundle", bundle)[0] == 0
    (scans / "b.nii.gz").write_bytes(b"no scan")
    _, _, errors = csvd("detect", scans / "b.nii.gz", "--out", out, "--bundle", bundle, "--overwrite")
    assert f"The result of an earlier run is still in '{out / 'b'}'." in errors[-1]


def test_scan_that_was_changed_is_not_resumed(csvd, scans, bundle, tmp_path):
    out, command = tmp_path / "out", ("detect", scans, "--bundle", bundle, "--out", tmp_path / "out", "--json")
    csvd(*command)
    before = (out / "a" / "a.json").read_bytes()
    write_scan(scans / "a.nii.gz", 5)
    code, output, _ = csvd(*command, "--resume")
    [row] = [row for row in json.loads(output) if row["case"] == "a"]
    assert (code, row["status"]) == (1, "failed")
    assert f"result '{out / 'a' / 'a.json'}' cannot be resumed: '{scans / 'a.nii.gz'}'" in row["reason"]
    assert (out / "a" / "a.json").read_bytes() == before


def test_version_is_printed(csvd):
    assert csvd("--version")[:2] == (0, f"{__version__}\n")


def test_help_tells_the_exit_codes(csvd):
    assert "Exit codes: 0" in csvd("--help")[1]


def test_phase_that_is_not_here_is_a_warning(csvd, scans, bundle, tmp_path):
    (scans / "a_ph.nii.gz").symlink_to("nowhere.nii.gz")
    phase = ("--phase", scans / "a_ph.nii.gz")
    code, output, _ = csvd("detect", scans / "a.nii.gz", *phase, "--bundle", bundle, "--json", "--out", tmp_path)
    [row] = json.loads(output)
    assert (code, row["status"]) == (0, "ok")
    assert [text for text in row["warnings"] if "a_ph.nii.gz' is a link to 'nowhere.nii.gz', which is not here" in text]
