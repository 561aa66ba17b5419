"""Names and texts of others are text: in a terminal, in tables, pages and JSON, and never a path out of the results."""

import csv
import io
import json
import shutil

import pytest
from dicom_study import write_series
from small_bundle import write_scan
from test_report_page import Elements

from csvd.io.tables import read_table, write_table
from csvd.names import json_line

NAMES = (
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "new\nline",
    "=cmd|' -C calc'!A1",
    "@SUM(1)",
    "+1+1",
    "<script>alert(1)<|script>",
    "\"><img src=x onerror='alert(1)'>",
    "[red]x[|]",
    "$(touch exploded)",
    "..",
    "..\\x",
    "%2e%2e%2f",
    "{{ 7 * 7 }}",
)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A scan with a microbleed."""
    write_scan(tmp_path_factory.mktemp("scan") / "scan.nii.gz", 1)
    return next(tmp_path_factory.getbasetemp().glob("scan*/scan.nii.gz"))


def is_shown(text):
    """Whether a terminal shows a text, and takes none of it for a command."""
    return text.replace("\n", "").isprintable()


def check(out, names, said, errors, before, root):
    """Check what came of scans of these names."""
    assert is_shown(said)
    assert is_shown("".join(errors))
    assert {path.name for path in root.iterdir()} == before  # nothing beside the results
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert len(folders) == len(names)
    assert all(is_shown(folder) and "/" not in folder and "\n" not in folder for folder in folders)
    table = (out / "cohort.tsv").read_text(encoding="utf-8")
    rows = [*csv.reader(io.StringIO(table), delimiter="\t")][1:]
    assert len(rows) == len(names)
    assert not any(cell.startswith(("=", "@", "+")) for row in rows for cell in row)
    assert is_shown(table.replace("\t", ""))
    page = Elements((out / "index.html").read_text(encoding="utf-8"))
    assert not {"img", "onerror"} & {word for tag, attributes in page.seen for word in (tag, *attributes)}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_files_of_any_name_are_shown_as_text(csvd, scan, bundle, tmp_path, form):
    (tmp_path / "in").mkdir()
    for name in NAMES:
        shutil.copy(scan, tmp_path / "in" / f"{'x' * name.startswith('.')}{name}.nii.gz")  # with a dot it is hidden
    log = tmp_path / "run.log"
    command = ("detect", tmp_path / "in", "--out", tmp_path / "out", "--bundle", bundle, "--log", log)
    code, said, errors = csvd(*command, *form)
    assert code == 0
    check(tmp_path / "out", NAMES, said, errors, {"in", "out", "run.log"}, tmp_path)
    assert is_shown(log.read_text(encoding="utf-8"))


def test_cases_and_persons_of_a_list_are_shown_as_text(csvd, scan, bundle, tmp_path):
    cases = [name for name in NAMES if name != ".." and "\\" not in name]
    items = [{"image": str(scan), "case": name, "subject": name} for name in cases]
    (tmp_path / "list.json").write_text(json.dumps({"test": items}))
    code, said, errors = csvd("detect", tmp_path / "list.json", "--out", tmp_path / "out", "--bundle", bundle)
    assert code == 0
    check(tmp_path / "out", cases, said, errors, {"list.json", "out"}, tmp_path)
    for name in ("..", "../x", "a/b", "..\\x", "C:x"):
        (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": str(scan), "case": name}]}))
        code, _, errors = csvd("detect", tmp_path / "list.json", "--out", tmp_path / "out", "--bundle", bundle)
        assert (code, len(errors)) == (2, 1)
        assert "must be usable as a folder name" in errors[0]


def test_folders_and_descriptions_of_studies_are_shown_as_text(csvd, bundle, tmp_path):
    for number, name in enumerate(("\x1b]0;title\x07", "=1+1", "<b>")):
        texts = {"SeriesDescription": f"\x1b[31m{name}", "StudyInstanceUID": f"1.2.{number + 1}"}
        write_series(tmp_path / "in" / name, **texts, SeriesNumber=1)
    code, said, errors = csvd("detect", tmp_path / "in", "--out", tmp_path / "out", "--bundle", bundle)
    assert code == 0
    check(tmp_path / "out", range(3), said, errors, {"in", "out"}, tmp_path)


def test_commands_that_name_a_file_show_it_as_text(csvd, scan, bundle, tmp_path):
    folder = tmp_path / "[red]\x1b]0;title\x07[/]"
    shutil.copytree(scan.parent, folder)
    assert csvd("detect", folder / "scan.nii.gz", "--out", folder, "--bundle", bundle)[0] == 0
    (folder / "scan" / "scan_lesions.mrk.json").write_text(
        (folder / "scan" / "scan_lesions.mrk.json").read_text() + "\n"
    )
    for words in (("datalist", folder, "--layout", "slicer", "--out", folder / "list.json"), ("report", folder)):
        code, said, _ = csvd(*words)
        assert code == 0
        assert is_shown(said)
        assert "[red]" in said


def test_json_of_a_line_steers_no_terminal_and_says_the_same():
    content = {"name": "\x1b\x9b\u202e\u2028 é 脑 \U0001f9e0", "number": 1.5}
    assert is_shown(json_line(content))
    assert "\n" not in json_line(content)
    assert json.loads(json_line(content)) == content


def test_tables_hold_no_command_of_a_terminal(tmp_path):
    write_table([{"a": "\x1b[2J=1", "b": "=1", "c": "x\ty"}], tmp_path / "t.tsv")
    assert "\x1b" not in (tmp_path / "t.tsv").read_text(encoding="utf-8")
    assert read_table(tmp_path / "t.tsv") == [{"a": "\ufffd[2J=1", "b": "=1", "c": "x\ty"}]
