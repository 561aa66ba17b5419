from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from csvd.checks import InputError
from csvd.io import check_output
from csvd.io.files import atomic_folder, atomic_path


def test_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "scan.nii.gz"
    with atomic_path(path) as temporary:
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), temporary)
        assert not path.exists()
    assert nib.load(path).shape == (2, 2, 2)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_writing_keeps_the_earlier_file(tmp_path, error):
    path = tmp_path / "table.tsv"
    path.write_text("earlier")
    with pytest.raises(error), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("out", ["new", "new/deeper", "."])
def test_writable_folder_is_accepted_and_left_alone(tmp_path, out):
    check_output(tmp_path / out, ["a", "b"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_folder_below_a_file_is_named(tmp_path, out):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=rf"output folder '.*{out}': '.*file' does not take.*Not a directory"):
        check_output(tmp_path / out, ["a"])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no folders")
def test_file_system_that_takes_no_folder_is_named():
    with pytest.raises(InputError, match=r"output folder '/proc/results': '/proc' does not take a new folder"):
        check_output("/proc/results", ["a"])


def test_existing_results_need_overwrite(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text("{}")
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match=r"output '.*a' and 1 more exists already: give --overwrite"):
        check_output(tmp_path, ["a", "b", "c"])
    check_output(tmp_path, ["a", "b", "c"], overwrite=True)
    check_output(tmp_path, ["c", "d"])


def test_file_in_the_place_of_results_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match=r"output '.*a' exists already"):
        check_output(tmp_path, ["a"])


def test_folder_is_replaced_by_one_with_the_same_files(tmp_path):
    for text in ("old", "new"):
        with atomic_folder(tmp_path / "case", overwrite=True) as folder:
            (folder / "table.tsv").write_text(text)
    assert (tmp_path / "case" / "table.tsv").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "case"]


def test_results_that_the_new_folder_lacks_are_replaced_when_they_are_named(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "a_seg.dcm").write_text("of an earlier run")
    with atomic_folder(tmp_path / "case", overwrite=True, replaceable=["a_seg.dcm", "a_sr.dcm"]) as folder:
        (folder / "table.tsv").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["case", "table.tsv"]


def test_folder_that_holds_a_file_of_the_user_is_never_replaced(tmp_path):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "scan.dcm").write_text("irreplaceable")
    with (
        pytest.raises(FileExistsError, match=r"folder '.*case' holds 'scan.dcm', which is none of the results"),
        atomic_folder(tmp_path / "case", overwrite=True) as folder,
    ):
        (folder / "table.tsv").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["case", "scan.dcm"]
