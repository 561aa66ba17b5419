"""The BIDS App: its command line is that of the convention, its results those of ``csvd detect --bids``."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from bids import save_json
from small_bundle import write_scan
from typer.main import get_command
from warm import python_m

import csvd
from csvd.cli import bids_app
from csvd.io.bids import outcomes
from csvd.io.bids.validation import find_validator
from csvd.io.files import atomic_path

ROOT = Path(__file__).parents[1]
SCANS = (
    "sub-01/ses-1/anat/sub-01_ses-1_swi",
    "sub-01/ses-2/anat/sub-01_ses-2_swi",
    "sub-02/anat/sub-02_T2starw",
    "sub-03/anat/sub-03_swi",
)
OF_GROUP = {"cohort.tsv", "cohort.json", "lesions_all.tsv", "lesions_all.json", "index.html", "participants.tsv"}
"""Files that runs of participants must not write, because others write them too."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """BIDS folder of three people with susceptibility scans, and one with T1 alone."""
    root = tmp_path_factory.mktemp("study") / "raw"
    for seed, name in enumerate(SCANS):
        write_scan(root / f"{name}.nii.gz", seed)
    write_scan(root / "sub-04" / "anat" / "sub-04_T1w.nii.gz", 4)
    about = {"Name": "Planted", "BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["Nobody"]}
    save_json(root / "dataset_description.json", about)
    (root / "README").write_text("Planted scans, of nobody. Made by a test of csvd.\n" * 4)
    return root


@pytest.fixture
def csvd_bids(monkeypatch, capsys, bundle):
    """Function that runs the command in this process and returns its exit code, output and error lines."""

    def run(*arguments, validator="--skip-bids-validator"):
        words = [str(word) for word in (*arguments, validator) if word]
        words += ["--bundle", str(bundle)] if len(words) > 2 else []
        monkeypatch.setattr(sys, "argv", ["csvd-bids", *words])
        with pytest.raises(SystemExit) as exit_info:
            bids_app.main()
        captured = capsys.readouterr()
        return exit_info.value.code or 0, captured.out, captured.err.splitlines()

    return run


def rows_of(out):
    """The rows of cohort.tsv by scan."""
    with (out / "cohort.tsv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file, delimiter="\t")}


def files_of(out):
    """The content of each file by its path."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--version", "-v"])
def test_version_is_that_of_the_package(csvd_bids, option):
    assert csvd_bids(option, validator="") == (0, f"{csvd.__version__}\n", [])


def test_help_names_both_levels_and_the_exit_codes(csvd_bids):
    code, output, _ = csvd_bids("-h", validator="")
    assert code == 0
    assert all(word in output for word in ("participant", "group", "Exit codes"))


@pytest.mark.parametrize("words", [("in",), ("in", "out"), ("in", "out", "subject"), ("in", "out", "group", "--none")])
def test_wrong_usage_is_exit_code_2(csvd_bids, words):
    code, output, errors = csvd_bids(*words, validator="")
    assert (code, output) == (2, "")
    assert errors


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("in out participant --participant-label 01 02", "in out participant {0} 01 {0} 02"),
        ("in out --participant-label 01 02 group", "in out {0} 01 {0} 02 group"),
        ("in out group --participant-label 01 --resume", "in out group {0} 01 --resume"),
        ("--participant-label 01 --participant-label 02 --jobs 2", "{0} 01 {0} 02 --jobs 2"),
        ("in out participant --jobs 2", "in out participant --jobs 2"),
    ],
)
def test_several_labels_may_follow_one_option(words, meant):
    option = "--participant-label"
    assert [*bids_app.repeat_options(words.split())] == meant.format(option).split()


def test_folder_that_is_not_bids_is_one_line(csvd_bids, tmp_path):
    code, _, errors = csvd_bids(tmp_path, tmp_path / "out", "participant")
    assert (code, len(errors)) == (2, 1)
    assert f"BIDS_DIR '{tmp_path}' must be a BIDS folder" in errors[0]


@pytest.mark.parametrize("level", ["participant", "group"])
def test_unknown_participant_is_one_line_that_names_those_that_exist(csvd_bids, root, tmp_path, level):
    code, _, errors = csvd_bids(root, tmp_path / "out", level, "--participant-label", "01", "99", "sub-1*")
    assert (code, len(errors)) == (2, 1)
    assert "participant 'sub-99, sub-1*' is not in BIDS folder" in errors[0]
    assert "which has sub-01, sub-02, sub-03, sub-04: correct --participant-label" in errors[0]
    assert not (tmp_path / "out").exists()


def test_of_many_participants_an_error_names_a_few(csvd_bids, tmp_path):
    for number in range(9):
        (tmp_path / f"sub-{number}" / "anat").mkdir(parents=True)
    _, _, [error] = csvd_bids(tmp_path, tmp_path / "out", "participant", "--participant-label", "x")
    assert "which has sub-0, sub-1, sub-2, sub-3, sub-4 and 4 more" in error


def test_unknown_session_is_one_line_that_names_those_that_exist(csvd_bids, root, tmp_path):
    words = (root, tmp_path / "out", "participant", "--session-label", "ses-3")
    _, _, [error] = csvd_bids(*words)
    assert "session 'ses-3' is not in BIDS folder" in error
    assert "which has ses-1, ses-2: correct --session-label" in error
    _, _, [error] = csvd_bids(*words, "--participant-label", "02")
    assert "which has no session" in error


def test_participants_write_their_own_files_and_no_file_of_the_group(csvd_bids, root, tmp_path):
    code, output, _ = csvd_bids(root, tmp_path, "participant", "--participant-label", "sub-02", "03")
    assert code == 0
    assert "2 of 2 scans done, 0 failed." in output
    assert {path.name for path in tmp_path.glob("sub-*")} == {"sub-02", "sub-03"}
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"dataset_description.json", ".bidsignore", "README.md"}


def test_session_is_chosen_by_its_label(csvd_bids, root, tmp_path):
    assert csvd_bids(root, tmp_path, "participant", "--session-label", "2")[0] == 0
    assert [path.name for path in tmp_path.rglob("*_record.json")] == ["sub-01_ses-2_desc-cmb_record.json"]


def test_participant_without_a_scan_is_told_of(csvd_bids, root, tmp_path):
    code, _, errors = csvd_bids(root, tmp_path, "participant", "--participant-label", "03", "04")
    assert (code, errors) == (0, ["without a susceptibility scan: sub-04"])
    code, _, errors = csvd_bids(root, tmp_path, "participant", "--participant-label", "04")
    assert (code, len(errors)) == (2, 1)
    assert "it holds T1w for these labels" in errors[0]


@pytest.fixture(scope="module")
def expected(root, bundle, tmp_path_factory):
    """Files of ``csvd detect --bids`` on the whole folder."""
    from csvd.workflows.detection import detect

    out = tmp_path_factory.mktemp("expected") / "out"
    detect(root, out, bundle, bids=True)
    return files_of(out)


@pytest.mark.slow
def test_participants_at_the_same_time_and_their_group_give_what_one_detection_gives(
    csvd_bids, root, bundle, expected, tmp_path
):
    out = tmp_path / "out"
    words = ("--skip-bids-validator", "--bundle", bundle, "--participant-label")
    runs = [
        subprocess.Popen(python_m("csvd.cli.bids_app", root, out, "participant", *words, label), cwd=ROOT / "tests")
        for label in ("01", "sub-02", "03")
    ]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert not OF_GROUP & {path.name for path in out.iterdir()}
    code, output, errors = csvd_bids(root, out, "group")
    assert (code, errors) == (0, [])
    assert "4 scans, 0 of them failed: see" in output
    assert files_of(out) == expected


def test_group_may_be_repeated_when_more_participants_have_run(csvd_bids, root, expected, tmp_path):
    out = tmp_path / "out"
    for labels in (("03",), ("01", "02")):
        assert csvd_bids(root, out, "participant", "--participant-label", *labels)[0] == 0
        assert csvd_bids(root, out, "group")[0] == 0
    assert files_of(out) == expected


def test_group_names_scans_without_a_result_and_takes_labels(csvd_bids, root, tmp_path):
    csvd_bids(root, tmp_path, "participant", "--participant-label", "02", "03")
    code, _, errors = csvd_bids(root, tmp_path, "group")
    assert code == 0
    assert errors == ["without a result, because `participant` has not run: sub-01_ses-1_swi, sub-01_ses-2_swi"]
    assert csvd_bids(root, tmp_path, "group", "--participant-label", "02")[0] == 0
    assert [*rows_of(tmp_path)] == ["sub-02_T2starw"]
    code, _, errors = csvd_bids(root, tmp_path, "group", "--participant-label", "01")
    assert (code, len(errors)) == (2, 1)
    assert "holds none: run `participant` first" in errors[0]


def test_group_without_any_result_is_one_line(csvd_bids, root, tmp_path):
    code, _, errors = csvd_bids(root, tmp_path / "out", "group")
    assert (code, len(errors)) == (2, 1)
    assert "must hold results" in errors[0]
    assert not (tmp_path / "out").exists()


def test_failed_scan_is_a_row_of_the_group_until_it_succeeds(csvd_bids, root, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    save_json(raw / "dataset_description.json", {"Name": "Planted", "BIDSVersion": "1.10.0"})
    scans = [raw / f"sub-{number}" / "anat" / f"sub-{number}_swi.nii.gz" for number in (1, 2)]
    for seed, scan in enumerate(scans):
        write_scan(scan, seed)
    whole = scans[1].read_bytes()
    scans[1].write_bytes(b"no scan at all" * 100)
    assert csvd_bids(raw, out, "participant", "--participant-label", "1")[0] == 0
    code, _, errors = csvd_bids(raw, out, "participant", "--participant-label", "2")
    assert (code, len(errors)) == (1, 1)
    assert csvd_bids(raw, out, "group")[0] == 0
    assert [row["status"] for row in rows_of(out).values()] == ["ok", "failed"]
    assert "gzip" in rows_of(out)["sub-2_swi"]["reason"]

    scans[1].write_bytes(whole)
    assert csvd_bids(raw, out, "participant", "--resume")[0] == 0
    assert csvd_bids(raw, out, "group")[0] == 0
    assert [row["status"] for row in rows_of(out).values()] == ["ok", "ok"]
    assert not [*(out / outcomes.FAILURES).iterdir()]


def test_results_that_are_there_are_kept_unless_told_otherwise(csvd_bids, root, tmp_path):
    words = (root, tmp_path, "participant", "--participant-label", "03")
    csvd_bids(*words)
    [record] = tmp_path.rglob("*_record.json")
    written = record.stat().st_mtime_ns
    code, _, errors = csvd_bids(*words)
    assert (code, len(errors)) == (2, 1)
    assert "--overwrite" in errors[0]
    assert csvd_bids(*words, "--resume")[0] == 0
    assert record.stat().st_mtime_ns == written
    assert csvd_bids(*words, "--overwrite")[0] == 0
    assert record.stat().st_mtime_ns > written


def test_derivative_of_someone_else_is_left_alone(csvd_bids, root, tmp_path):
    save_json(tmp_path / "dataset_description.json", {"Name": "Other", "BIDSVersion": "1.10.0"})
    for level in ("participant", "group"):
        code, _, errors = csvd_bids(root, tmp_path, level)
        assert (code, len(errors)) == (2, 1)
        assert "which csvd did not make" in errors[0]


def test_two_writers_of_one_file_have_two_temporary_files(tmp_path):
    """In two containers both may have the process number 1."""
    with atomic_path(tmp_path / "file") as one, atomic_path(tmp_path / "file") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def validator(tmp_path, monkeypatch):
    """Function that puts a program in the place of the validator: it says these issues, or a text."""

    def install(issues):
        said = issues if isinstance(issues, str) else json.dumps({"issues": {"issues": issues}})
        (tmp_path / "said").write_text(said)
        program = tmp_path / "validator"
        program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\ncat {tmp_path}/said\nexit 1\n')
        program.chmod(0o755)
        monkeypatch.setattr("csvd.workflows.bids_app.find_validator", lambda: str(program))
        return tmp_path / "called"

    return install


def issue(location, code="TSV_ERROR", severity="error"):
    return {"code": code, "location": location, "severity": severity}


def test_errors_of_the_validator_stop_the_run_in_one_line(csvd_bids, root, tmp_path, validator):
    called = validator(
        [issue("/participants.tsv"), *(issue(f"/sub-01/{n}") for n in "abc"), issue("/b", "X", "warning")]
    )
    code, _, errors = csvd_bids(root, tmp_path / "out", "participant", validator="")
    assert (code, len(errors)) == (2, 1)
    assert "the validator found errors (4): TSV_ERROR /participants.tsv, TSV_ERROR /sub-01/a, " in errors[0]
    assert "and 1 more. Correct them" in errors[0]
    assert "--skip-bids-validator" in errors[0]
    assert not (tmp_path / "out").exists()
    assert len(called.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "issues",
    [
        [],
        [issue("/sub-03/anat/sub-03_swi.json", "SIDECAR_KEY_RECOMMENDED", "warning")],
        [issue("/sub-03/anat/sub-03_swi.nii.gz", "NOT_INCLUDED"), issue("/sub-03/swi/sub-03_GRE.json", "NOT_INCLUDED")],
        [issue("/sub-01/anat/sub-01_T1w.json"), issue("/sub-033/anat/sub-033_T1w.json")],
    ],
    ids=["nothing", "warnings", "suffixes that BIDS lacks", "other participants"],
)
def test_what_is_no_error_of_these_participants_does_not_stop_the_run(csvd_bids, root, tmp_path, validator, issues):
    validator(issues)
    words = (root, tmp_path / "out", "participant", "--participant-label", "03")
    code, _, errors = csvd_bids(*words, validator="")
    assert (code, errors) == (0, [f"valid by bids-validator-deno: {root}"])


def test_skipped_validator_is_not_called(csvd_bids, root, tmp_path, validator):
    called = validator([issue("/participants.tsv")])
    assert csvd_bids(root, tmp_path / "out", "participant", "--participant-label", "03")[0] == 0
    assert not called.exists()


def test_validator_that_breaks_is_one_line(csvd_bids, root, tmp_path, validator):
    validator("out of\nmemory")
    code, _, errors = csvd_bids(root, tmp_path / "out", "participant", validator="")
    assert (code, len(errors)) == (2, 1)
    assert "(exit code 1): out of memory. Give --skip-bids-validator" in errors[0]


def test_without_a_validator_the_run_goes_on(csvd_bids, root, tmp_path, monkeypatch):
    monkeypatch.setattr("csvd.workflows.bids_app.find_validator", lambda: None)
    words = (root, tmp_path / "out", "participant", "--participant-label", "03")
    code, _, errors = csvd_bids(*words, validator="")
    assert code == 0
    assert errors == ["not validated, because bids-validator-deno is not installed: pip install bids-validator-deno"]


@pytest.fixture
def official():
    """The official validator; the test is skipped where it is not installed."""
    program = find_validator()
    if program is None:
        pytest.skip("needs bids-validator-deno")
    return program


def test_official_validator_finds_a_missing_name_and_takes_swi(csvd_bids, root, official, tmp_path):
    words = (root, tmp_path / "out", "participant", "--participant-label", "03")
    assert csvd_bids(*words, validator="")[0] == 0
    raw = tmp_path / "raw"
    write_scan(raw / "sub-1" / "anat" / "sub-1_swi.nii.gz", 0)
    save_json(raw / "dataset_description.json", {"BIDSVersion": "1.10.0"})
    code, _, errors = csvd_bids(raw, tmp_path / "other", "participant", validator="")
    assert code == 2
    assert "JSON_KEY_REQUIRED /dataset_description.json" in errors[0]


@pytest.mark.parametrize(
    ("variables", "kind"), [({}, "docker"), ({"APPTAINER_CONTAINER": "/csvd.sif"}, "apptainer")], ids=["docker", "sif"]
)
def test_derivative_of_a_container_is_valid_and_names_it(
    csvd_bids, root, official, tmp_path, monkeypatch, variables, kind
):
    for name, value in {"CSVD_CONTAINER_TAG": "csvd:1", **variables}.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "out"
    csvd_bids(root, out, "participant")
    csvd_bids(root, out, "group")
    [made] = json.loads((out / "dataset_description.json").read_text())["GeneratedBy"]
    assert made["Container"] == {"Type": kind, "Tag": "csvd:1"}
    done = subprocess.run([official, str(out), "--format", "json"], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_documented_commands_and_their_options_exist():
    command = get_command(bids_app.app)
    blocks = re.findall(r"^```text\n(.*?)^```", (ROOT / "docs" / "bids_app.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line) for line in lines if re.search(r"\b(participant|group)\b", line)]
    assert len(found) == 5
    for words in found:
        level = next(n for n, word in enumerate(words) if word in list(bids_app.Level))
        command.make_context("csvd-bids", [*bids_app.repeat_options(words[level - 2 :])])


def test_image_has_the_version_of_the_package_and_the_steps_that_there_are():
    text = (ROOT / "Dockerfile").read_text()
    assert f"ARG TAG=csvd:{csvd.__version__}" in text
    steps = re.findall(r"^RUN sh /source/tools/image.sh (\w+)$", text, re.MULTILINE)
    assert steps == re.findall(r"^(\w+)\(\)", (ROOT / "tools" / "image.sh").read_text(), re.MULTILINE)
    copied = [name for line in re.findall(r"^COPY ([^-].*) \S+$", text, re.MULTILINE) for name in line.split()]
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {*copied} == {*allowed}
    assert all((ROOT / name).exists() for name in copied)
