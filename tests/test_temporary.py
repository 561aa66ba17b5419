"""What is written survives kills, other processes and the loss of power whole, and leaves nothing behind."""

import errno
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from csvd.checks import InputError
from csvd.io import files, temporary
from csvd.io.files import atomic_folder, atomic_path, write_text
from csvd.io.temporary import DAY_S, OLD, alone_in, remove_left, temporary_folder
from csvd.processes import end_at_sigterm

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def events(monkeypatch, tmp_path):
    """What reaches the disk and what is renamed, in order; paths relative to the test's folder."""
    seen = []

    def relative(path):
        parts = Path(path).relative_to(tmp_path).parts
        return "/".join("TEMPORARY" if temporary.NAME.fullmatch(part) else part for part in parts)

    def fsync(descriptor, real=os.fsync):
        real(descriptor)
        seen.append(("on disk", relative(os.readlink(f"/proc/self/fd/{descriptor}"))))

    def replace(path, target, real=Path.replace):
        real(path, target)
        seen.append(("renamed", relative(target)))

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return seen


def left_folder(parent, machine=None, age_s=0.0):
    """Make the folder of a run that was killed."""
    folder = parent / f".csvd-{machine or temporary._machine()}-abcdefgh"
    folder.mkdir()
    (folder / "new.tsv").write_text("half")
    os.utime(folder, (time.time() - age_s,) * 2)
    return folder


def test_file_is_on_disk_before_its_name_and_its_name_before_the_end(tmp_path, events):
    write_text("whole", tmp_path / "table.tsv")
    assert events == [("on disk", "TEMPORARY/new.tsv"), ("renamed", "table.tsv"), ("on disk", "")]


def test_folder_is_on_disk_with_its_files_before_its_name(tmp_path, events):
    with atomic_folder(tmp_path / "case") as folder:
        write_text("whole", folder / "a.tsv")
        (folder / "b.json").write_text("{}")
    renamed = events.index(("renamed", "case"))
    before = {path for what, path in events[:renamed] if what == "on disk"}
    assert before == {"TEMPORARY/new", "TEMPORARY/new/a.tsv", "TEMPORARY/new/b.json"}
    assert events[renamed + 1 :] == [("on disk", "")]


def test_what_does_not_outlive_the_run_is_not_waited_for(tmp_path, events):
    with temporary_folder(tmp_path) as folder:
        write_text("whole", folder / "table.tsv")
        with atomic_folder(folder / "case") as case:
            (case / "a.tsv").write_text("whole")
    assert [what for what, _ in events] == ["renamed", "renamed"]


def test_disk_that_cannot_be_told_to_write_is_written_to(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EINVAL, "no such thing")

    monkeypatch.setattr(os, "fsync", fsync)
    write_text("whole", tmp_path / "table.tsv")
    assert (tmp_path / "table.tsv").read_text() == "whole"


def test_disk_that_loses_what_is_written_is_an_error(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EIO, "broken")

    (tmp_path / "table.tsv").write_text("earlier")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="broken"):
        write_text("new", tmp_path / "table.tsv")
    assert (tmp_path / "table.tsv").read_text() == "earlier"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_full_disk_is_one_line_with_the_name_of_the_output(tmp_path, kind, number):
    write = {"file": atomic_path, "folder": atomic_folder}[kind]
    with pytest.raises(InputError, match=rf"^cannot write '{tmp_path}/result': .*Make room") as raised:  # noqa: SIM117
        with write(tmp_path / "result") as path:
            raise OSError(number, os.strerror(number), str(path))
    assert "csvd-" not in str(raised.value)
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_run_left_is_removed(tmp_path):
    left_folder(tmp_path)
    (tmp_path / ".csvd-notes").write_text("of the user")
    remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".csvd-notes"]


@pytest.mark.parametrize(("age_s", "stays"), [(DAY_S / 2, True), (DAY_S * 2, False)])
def test_what_another_machine_left_is_removed_after_a_day(tmp_path, age_s, stays):
    folder = left_folder(tmp_path, machine="0" * 8, age_s=age_s)
    remove_left(tmp_path)
    assert folder.exists() == stays


def test_folder_that_a_process_works_in_stays(tmp_path):
    with temporary_folder(tmp_path) as folder:
        other = FORK.Process(target=remove_left, args=(tmp_path,))
        other.start()
        other.join()
        assert folder.exists()
    assert not [*tmp_path.iterdir()]


def test_folder_that_is_taken_for_a_left_one_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    def lock(folder, real=temporary._lock):
        if not [*made]:
            made.append(folder)
            folder.rmdir()
        return real(folder)

    made = []
    monkeypatch.setattr(temporary, "_lock", lock)
    with temporary_folder(tmp_path) as folder:
        assert folder.exists()
        assert folder != made[0]


def test_result_that_was_being_replaced_goes_back(tmp_path):
    folder = left_folder(tmp_path)
    (folder / OLD / "case").mkdir(parents=True)
    (folder / OLD / "case" / "a.tsv").write_text("earlier")
    remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["case"]
    assert (tmp_path / "case" / "a.tsv").read_text() == "earlier"


def test_result_that_was_replaced_does_not_go_back(tmp_path):
    folder = left_folder(tmp_path)
    for place, text in ((folder / OLD / "case", "earlier"), (tmp_path / "case", "new")):
        place.mkdir(parents=True)
        (place / "a.tsv").write_text(text)
    remove_left(tmp_path)
    assert (tmp_path / "case" / "a.tsv").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_result_goes_back_when_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
    def replace(path, target, real=Path.replace):
        if path.name == "new":
            raise OSError(errno.EIO, "broken")
        real(path, target)

    with atomic_folder(tmp_path / "case") as folder:
        (folder / "a.tsv").write_text("earlier")
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="broken"), atomic_folder(tmp_path / "case", overwrite=True) as folder:
        (folder / "a.tsv").write_text("new")
    assert (tmp_path / "case" / "a.tsv").read_text() == "earlier"


def test_result_that_another_process_wrote_meanwhile_is_not_replaced_unasked(tmp_path):
    with pytest.raises(FileExistsError, match=r"case' exists already"), atomic_folder(tmp_path / "case") as folder:  # noqa: PT012
        (folder / "a.tsv").write_text("mine")
        (tmp_path / "case").mkdir()
        (tmp_path / "case" / "a.tsv").write_text("of another")
    assert (tmp_path / "case" / "a.tsv").read_text() == "of another"


def test_result_that_another_process_replaced_meanwhile_is_replaced(tmp_path, monkeypatch):
    """Between the two renames of one process, another puts its result there."""

    def set_aside(path, old, new, real=files._set_aside):
        real(path, old, new)
        if not turns:
            turns.append(path)
            path.mkdir()
            (path / "a.tsv").write_text("of another")

    turns = []
    with atomic_folder(tmp_path / "case") as folder:
        (folder / "a.tsv").write_text("earlier")
    monkeypatch.setattr(files, "_set_aside", set_aside)
    with atomic_folder(tmp_path / "case", overwrite=True) as folder:
        (folder / "a.tsv").write_text("mine")
    assert (tmp_path / "case" / "a.tsv").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_two_runs_over_a_cohort_do_not_share_a_folder(tmp_path):
    with alone_in(tmp_path / "out"):
        other = FORK.Process(target=_alone, args=(tmp_path / "out", tmp_path / "told"))
        other.start()
        other.join()
    assert (tmp_path / "told").read_text().startswith(f"another run of csvd writes to output folder '{tmp_path}/out'")
    _alone(tmp_path / "out", tmp_path / "told")
    assert (tmp_path / "told").read_text() == "alone"


def _alone(folder, told):
    try:
        with alone_in(folder):
            told.write_text("alone")
    except InputError as error:
        told.write_text(str(error))


def test_system_without_a_folder_for_temporary_files_is_told_of(monkeypatch):
    def gettempdir():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/']")

    monkeypatch.setattr(tempfile, "gettempdir", gettempdir)
    with pytest.raises(InputError, match=r"no folder .* tried \['/tmp', '/'\]: set TMPDIR"), temporary_folder():
        pass


def test_file_systems_without_locks_are_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "fcntl", None)
    left = left_folder(tmp_path, age_s=DAY_S / 2)
    with atomic_path(tmp_path / "a.tsv") as path:
        path.write_text("whole")
    remove_left(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tsv", left.name}


def test_sigterm_ends_a_process_with_nothing_left(tmp_path):
    process = FORK.Process(target=_sleep_in_folder, args=(tmp_path,))
    process.start()
    while not [*tmp_path.rglob("ready")]:
        time.sleep(0.01)
    process.terminate()
    process.join()
    assert process.exitcode == 128 + signal.SIGTERM
    assert not [*tmp_path.iterdir()]


def _sleep_in_folder(parent):
    end_at_sigterm()
    with temporary_folder(parent) as folder:
        (folder / "ready").touch()
        time.sleep(60)
