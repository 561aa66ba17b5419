"""Names of files: what is written and shown of them is UTF-8, and no two are mixed up."""

import os

import pytest

from csvd.names import LONGEST_BYTES, folder_name, shown, storable, with_source

LATIN_1 = os.fsdecode(b"M\xfcller_swi")
KEPT = ["sub-01_swi", "a b 'c' \"d\"", "[bold]x[red]", "-dash", "dot.", "<b>&amp;", "e\u0301 \u4e2d", "Müller"]
KEPT += ["50%", "%zz"]


@pytest.mark.parametrize("name", KEPT)
def test_names_that_can_be_written_stay(name):
    assert folder_name(name) == storable(name) == shown(name) == name


@pytest.mark.parametrize(
    ("name", "folder", "screen"),
    [
        (LATIN_1, "M%FCller_swi", "M\ufffdller_swi"),
        ("new\nline", "new%0Aline", "new\nline"),
        ("tab\there", "tab%09here", "tab\ufffdhere"),
        ("\x1b[31m", "%1B[31m", "\ufffd[31m"),
        ("bell\x85", "bell%C2%85", "bell\ufffd"),
        ("..", "%2E%2E", ".."),
        ("half \ud83d", "half %ED%A0%BD", "half \ufffd"),
        ("M%FCller_swi", "M%25FCller_swi", "M%FCller_swi"),
    ],
)
def test_what_cannot_be_written_is_escaped_and_shown_as_a_replacement(name, folder, screen):
    assert folder_name(name) == folder
    assert shown(name) == screen
    for text in (folder_name(name), shown(name), storable(name)):
        text.encode()


def test_different_names_stay_different():
    names = [LATIN_1, "M%FCller_swi", "M%25FCller_swi", "Mller_swi", "M\ufffdller_swi", "%\n", "%%0A", "%%250A", "%2\n"]
    names += ["x" * 250, "x" * 251, "x" * 199 + "é", "x" * 199 + "è", "\udcff" * 90, "\udcff" * 91]
    assert len({folder_name(name).casefold() for name in names}) == len(names)


@pytest.mark.parametrize("name", ["x" * 234, "é" * 120, "\udcff" * 200, "中" * 80])
def test_long_names_leave_room_for_the_endings_of_files(name, tmp_path):
    folder = folder_name(name)
    assert len(folder.encode()) <= LONGEST_BYTES
    (tmp_path / f".1234567-old-{folder}_lesions.mrk.json").write_text("")


def test_texts_keep_their_lines_and_tabs():
    assert storable(f"a\tb\n{LATIN_1}\n") == "a\tb\nM\ufffdller_swi\n"


def test_temporary_files_are_called_what_the_user_gave():
    text = "image '/tmp/csvd-a/b/1.nii' and '/tmp/csvd-a/2.nii' must be finite; '/tmp/other' is"
    said = with_source(text, "/tmp/csvd-a", "my\\1 study")
    assert said == "image 'my\\1 study' and 'my\\1 study' must be finite; '/tmp/other' is"
