"""The program dcm2niix: what it makes of DICOM files, and what it says, in the user's words."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...checks import InputError
from .files import missing_start, read_dicom
from .series import Series

GEOMETRY = re.compile(r"slice d|flipped|distance|equidistant|tilt|missing|orientation var|dimension", re.IGNORECASE)
"""Warnings about where slices lie."""
COUNT = re.compile(r"Missing images\? Expected")
"""A count of instance numbers, which says nothing of a part of a series."""


def run_dcm2niix(series: Series, files: Sequence[Path], workdir: Path) -> tuple[list[Path], list[str]]:
    """Convert files of a series to NIfTI in a new folder, and return the images and the warnings.

    Mosaics, enhanced multi-frame objects, mixed echoes and phase images become files of their own.

    Args:
        series: what they belong to.
        files: which ones.
        workdir: the caller removes it.

    Raises:
        InputError: dcm2niix is missing or failed, or found no image.
    """
    program = _program()
    target = Path(tempfile.mkdtemp(dir=workdir))
    source = _gathered(files, target / "files", series)
    # No subfolders, no settings of the user, a sidecar without names, not compressed, named by series number.
    options = ["-d", "0", "-g", "i", "-b", "y", "-ba", "o", "-z", "n", "-f", "%s", "-o", str(target)]
    done = subprocess.run([program, *options, str(source)], capture_output=True, text=True, errors="replace")
    messages = _in_words_of_user(done.stdout + done.stderr, target, files, series.folder)
    shutil.rmtree(source)
    # Without a sidecar it is a resampled copy of one that has it.
    images = sorted(path for path in target.glob("*.nii") if path.with_suffix(".json").exists())
    if done.returncode != 0 or not images:
        shutil.rmtree(target)
        last = "; ".join([line for line in messages if line.startswith(("Warning", "Error"))][-2:] or messages[-1:])
        raise InputError(
            f"DICOM folder '{series.folder}' cannot be converted, dcm2niix says: '{last}'. "
            "Give a folder with one whole image series."
        )
    warnings = [line for line in messages if line.startswith("Warning") and not (series.part and COUNT.search(line))]
    return images, list(dict.fromkeys(warnings))


def about_geometry(warning: str) -> bool:
    """Return whether a warning of dcm2niix is about where slices lie."""
    return bool(GEOMETRY.search(warning))


def _in_words_of_user(output: str, target: Path, files: Sequence[Path], folder: Path) -> list[str]:
    """Return the lines of an output, with the names of the user's files in place of temporary ones."""
    output = re.sub(r"(Convert \d+ DICOM as )", r"\n\1", output)
    output = re.sub(
        re.escape(str(target / "files")) + r"[/\\]+(\d{5})\.dcm", lambda found: str(files[int(found[1])]), output
    )
    output = re.sub(re.escape(str(target)) + r"[^\s'\"]*", lambda _: str(folder), output)
    return [line.strip() for line in output.splitlines() if line.strip()]


def _gathered(files: Sequence[Path], folder: Path, series: Series) -> Path:
    """Return a new folder with links to files, or copies where there are no links or where the files need mending.

    dcm2niix reads no files without preamble of all kinds, and stacks only files of one SeriesInstanceUID.
    """
    folder.mkdir()
    for number, path in enumerate(files):
        link = folder / f"{number:05d}.dcm"  # files of two folders may have one name, in any alphabet
        missing = missing_start(path)
        if series.uid_per_file:
            _save_with_uid(path, link, series.first.text("SeriesInstanceUID"))
        elif missing:
            link.write_bytes(missing + path.read_bytes())
        else:
            try:
                link.symlink_to(os.path.abspath(path))
            except OSError:
                shutil.copyfile(path, link)
    return folder


def _save_with_uid(path: Path, copy: Path, uid: str) -> None:
    """Write a copy of a DICOM file with another SeriesInstanceUID.

    Raises:
        InputError: the file cannot be read whole.
    """
    try:
        header = read_dicom(path, pixels=True)
        header.SeriesInstanceUID = uid
        header.save_as(copy)
    except Exception as error:  # whatever pydicom says of it
        raise InputError(f"DICOM file '{path}' cannot be read whole: {error}. Export it again.") from error


def _program() -> str:
    package = find_spec("dcm2niix")
    program = shutil.which("dcm2niix", path=str(Path(package.origin).parent)) if package and package.origin else None
    if program is None:
        raise InputError(
            "DICOM cannot be converted: the Python package 'dcm2niix' or its program is missing. "
            "Install it with `pip install dcm2niix`, or convert the folder to NIfTI yourself."
        )
    return program
