"""What commands print: lines that fit a terminal, with the names' ends; whole lines in a pipe."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

import nibabel as nib
import pytest
from geometry import planted_scan
from rich.cells import cell_len
from warm import python_m

from csvd.cli.app import found_in
from csvd.cli.screen import shortened

NAMES = [
    "raw/sub-001/ses-baseline/anat/sub-001_ses-baseline_acq-highres_run-01_swi.nii.gz",
    "raw/sub-001/ses-baseline/anat/sub-001_ses-baseline_acq-highres_run-02_swi.nii.gz",
    "DICOM/20240113/0001_head_without_contrast series 12, TE 20 ms",
    "DICOM/20240113/0001_head_without_contrast series 13, TE 40 ms",
    "[bold]short[/bold].nii",
]
REASON = "scan 'raw/broken.nii.gz' must be a gzip file, it is not a sound one: copy it again from where it came from."
PROGRAM = f"""
from contextlib import suppress
from pathlib import Path
import typer
from csvd.cli.app import print_rows
from csvd.cli.series import print_series
from csvd.workflows.gate import SeriesSequence, SortedSeries
found = SeriesSequence("T2*-GRE", "bright", "T2*-GRE", 0.98, 20, "T2*-GRE")
odd = SeriesSequence("unsure", None, "unsure", 0.4, 3, None, "its pixels do not show which sequence it is")
sort = [SortedSeries(name, odd if "13" in name else found) for name in {NAMES!r}]
rows = [dict(case=Path(name).name, status="ok", warnings=["thin slab"] * ("13" in name)) for name in {NAMES!r}]
failed = dict(case="broken", status="failed", reason={REASON!r})
"""
SORT = PROGRAM + f"print_series([*sort, SortedSeries('broken.nii.gz', None, {REASON!r})])"
SAY = "Path('out'), False, lambda row: '5 suspected microbleeds'"
DETECT = PROGRAM + f"with suppress(typer.Exit): print_rows([*rows, failed], {SAY})"
SINGLE = PROGRAM + f"print_rows(rows[:1], {SAY})"


def on_terminal(command, columns, **how):
    """Return the exit code and the lines that a command prints on a terminal of that many columns and 24 lines."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm-256color"
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, **how)
    os.close(theirs)
    output, ends = b"", time.monotonic() + 300
    try:
        while time.monotonic() < ends:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # its end is closed
                break
            if not part:
                break
            output += part
    finally:
        process.kill() if time.monotonic() >= ends else None
        code = process.wait(timeout=60)
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())
    return code, [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]


@pytest.fixture
def command(tmp_path):
    """A function that returns the command that runs a program."""

    def save(program):
        (tmp_path / "program.py").write_text(program)
        return python_m(tmp_path / "program.py")

    return save


def piped(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("columns", [80, 120])
def test_series_take_a_line_each_and_keep_the_end_of_their_names(command, columns):
    _, lines = on_terminal(command(SORT), columns)
    assert max(map(cell_len, lines)) <= columns
    for end in ("run-01_swi.nii.gz", "run-02_swi.nii.gz", "series 12, TE 20 ms", "series 13, TE 40 ms"):
        (line,) = (line for line in lines if end in line and ": " not in line)
        assert re.search(r"(T2\*-GRE|unsure) +(T2\*-GRE|unsure) +0\.\d\d .*(yes, bright|no)", line)
    assert any(
        line.startswith(" [bold]short[/bold].nii ") or line.startswith("[bold]short[/bold].nii ") for line in lines
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_remarks_of_series_follow_below_with_whole_names(command, columns):
    text = " ".join(" ".join(on_terminal(command(SORT), columns)[1]).split())
    assert f"{NAMES[3]}: its pixels do not show which sequence it is" in text
    assert f"broken.nii.gz: {REASON}" in text
    assert text.endswith("Research use only.")


@pytest.mark.parametrize("columns", [80, 120])
def test_scans_of_a_cohort_take_a_line_each(command, columns):
    _, lines = on_terminal(command(DETECT), columns)
    assert max(map(cell_len, lines)) <= columns
    assert len([line for line in lines if line.rstrip().endswith("5 suspected microbleeds")]) == len(NAMES)
    text = " ".join(" ".join(lines).split())
    assert "run-02_swi.nii.gz 5 suspected" in text
    assert f"broken: failed: {REASON}" in text
    assert "series 13, TE 40 ms: warning: thin slab" in text
    assert "see out/<scan>/<scan>.html 5 of 6 scans done, 1 failed. Research use only." in text


def test_path_of_a_page_is_not_broken(command):
    _, lines = on_terminal(command(SINGLE), 60)
    name = NAMES[0].rpartition("/")[2]
    assert any(f"out/{name}/{name}.html" in line for line in lines)


def test_pipe_gets_full_names_and_a_line_each(command):
    lines = piped(command(SORT))
    for name in NAMES:
        assert len([line for line in lines if line.strip().startswith(name)]) == 1
    assert any(line.rstrip().endswith(REASON) for line in lines)
    assert "\x1b" not in "".join(lines)
    lines = piped(command(DETECT))
    for name in (name.rpartition("/")[2] for name in NAMES):
        assert f"{name}: 5 suspected microbleeds, see out/{name}/{name}.html" in lines


@pytest.mark.parametrize("names", [NAMES, ["中" * 30 + "一", "中" * 30 + "二"], ["a" * 40 + "x" + "b" * 40] * 1])
def test_shortened_names_fit_and_keep_their_ends(names):
    for name, short in zip(names, shortened(names, 31), strict=True):
        assert cell_len(short) <= 31
        assert short[-9:] == name[-9:]


def test_names_that_would_look_alike_stay_whole():
    alike = [f"{'a' * 40}{middle}{'b' * 40}" for middle in "xy"]
    assert shortened([*alike, "c" * 50], 31)[:2] == alike


@pytest.mark.slow
def test_sort_of_a_study_and_detection_of_its_scans_fit_80_columns(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for run in (1, 2):
        image = planted_scan(shape=(48, 56, 44), voxel_mm=(2.0, 2.0, 2.0), seed=run).image
        nib.save(image, folder / f"sub-001_ses-baseline_acq-highresolution_rec-magnitude_run-0{run}_swi.nii.gz")
    code, lines = on_terminal(python_m("csvd.cli", "sort", "scans"), 80, cwd=tmp_path)
    assert code == 0
    assert max(map(cell_len, lines)) <= 80
    assert len([line for line in lines if re.search(r"run-0[12]_swi.nii.gz +\S+ +\S+ +0\.\d\d", line)]) == 2
    detect = python_m("csvd.cli", "detect", "scans", "--any-sequence", "--out", "results")
    code, lines = on_terminal(detect, 80, cwd=tmp_path)
    assert code == 0
    assert max(map(cell_len, lines)) <= 80
    assert len([line for line in lines if re.search(r"run-0[12]_swi +\d+ suspected microbleeds", line)]) == 2
    assert any("see results/index.html" in line for line in lines)


def test_one_lesion_is_no_plural():
    texts = [found_in({"counts": {"total": total}}) for total in (0, 1, 2)]
    assert texts == ["0 suspected microbleeds", "1 suspected microbleed", "2 suspected microbleeds"]
