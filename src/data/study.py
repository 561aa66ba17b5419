"""The series of a DICOM study, wherever their files lie, and the scan among them to work on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks import InputError
from .dicom import choose_phase, choose_scan, convert_dicom, is_dicom

TAGS = ("Modality", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "SeriesDescription")


@dataclass(frozen=True)
class ChosenScan:
    """The scan of a study to work on.

    Attributes:
        image: the NIfTI file.
        phase: phase image of the same acquisition, if there is one.
        files: DICOM files of the series of ``image``.
        notes: how it was chosen, one sentence each.
    """

    image: Path
    phase: Path | None
    files: tuple[Path, ...]
    notes: list[str]


def find_dicom(folder: Path) -> list[Path]:
    """Return the DICOM files in a folder and its subfolders, without those whose name begins with a dot."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and is_dicom(path)
    ]


def convert_study(folder: Path, files: Sequence[Path], workdir: Path) -> ChosenScan:
    """Convert the MR series of one study, choose a scan, and remove the other images.

    Args:
        folder: what the user named.
        files: the DICOM files in it.
        workdir: folder for what is converted, which the caller removes.

    Raises:
        InputError: there are several studies or no MR image, no series can be converted, or all images are phase.
    """
    series, notes = _sort_by_series(folder, files)
    scans, errors = [], {}
    for name, members in series.items():
        try:
            scans += [(scan, name) for scan in convert_dicom(folder, workdir, members)]
        except InputError as error:
            errors[name] = error
    if not scans:
        raise next(iter(errors.values()))
    images = [scan for scan, _ in scans]
    scan, reason = choose_scan(images)
    phase = choose_phase(images, scan)
    for image in images:
        if image not in (scan, phase):
            image.image.unlink()
    notes = [f"converted from DICOM: {reason}", *(f"dcm2niix: {warning}" for warning in scan.warnings), *notes]
    if len(series) > 1:
        notes.insert(1, f"series of the study: {', '.join(series)}")
    notes += [f"series {name} is left out: {error}" for name, error in errors.items()]
    members = next(series[name] for image, name in scans if image is scan)
    return ChosenScan(scan.image, None if phase is None else phase.image, tuple(members), notes)


def _sort_by_series(folder: Path, files: Sequence[Path]) -> tuple[Mapping[str, list[Path]], list[str]]:
    """Return the files of each MR series, by number and description, and a note on what cannot be read.

    Raises:
        InputError: the files belong to several studies, or none is MR.
    """
    import pydicom  # where MONAI Label runs there may be none
    from pydicom.errors import InvalidDicomError

    series: dict[str, dict[str, Path]] = defaultdict(dict)
    names: dict[str, str] = {}
    studies, others, unreadable = set(), set(), []
    for path in files:
        try:
            tags = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        except (InvalidDicomError, OSError, EOFError, ValueError):
            tags = pydicom.FileDataset(path, {})
        modality, study, uid, instance, number, description = (str(tags.get(tag) or "") for tag in TAGS)
        if not modality and path.name != "DICOMDIR":
            unreadable.append(path.name)
        if modality != "MR":
            others.add(modality or "unknown")
            continue
        studies.add(study)
        names.setdefault(uid, f"{number or '?'} '{description}'")
        series[uid].setdefault(instance, path)  # exports may hold a file twice
    if len(studies) > 1:
        raise InputError(
            f"DICOM folder '{folder}' must hold one study, it holds {len(studies)}. Give each its own folder."
        )
    if not series:
        raise InputError(
            f"DICOM folder '{folder}' must hold MR images, its {len(files)} DICOM files are of modality "
            f"{', '.join(sorted(others))}. Give the folder of the scan."
        )
    notes = [f"{len(unreadable)} DICOM files cannot be read, the first is '{unreadable[0]}'"] if unreadable else []
    named: dict[str, list[Path]] = {}
    for uid, members in sorted(series.items(), key=lambda item: (len(names[item[0]].split()[0]), names[item[0]])):
        name = names[uid] if names[uid] not in named else f"{names[uid]} ({uid})"
        named[name] = list(members.values())
    return named, notes
