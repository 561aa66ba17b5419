"""DICOM studies, wherever their files lie, and the scan of each to work on."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..checks import InputError
from .dicom import choose_phase, choose_scan, convert_dicom, is_dicom

TAGS = ("Modality", "SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "SeriesDescription")


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


def find_studies(folder: Path) -> dict[str, list[Path]]:
    """Return the DICOM files of each study in a folder and its subfolders, by a name for it.

    One study is called like the folder; each of several after the folders that it lies in, and where others lie in the
    same, also by a part of the SHA-256 of its StudyInstanceUID, so that one that comes later takes no other's name.
    Hidden files are left out; what names no study goes with others in its folder.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    shown = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    tags = ("StudyInstanceUID",)
    dicom = (path for path in tqdm(shown, "files", unit="file", disable=None, leave=False) if is_dicom(path))
    uids = {path: str(_read_tags(path, tags).get(*tags) or "") for path in dicom}
    of_folder = {path.parent: uid for path, uid in uids.items() if uid}
    studies: dict[str, list[Path]] = defaultdict(list)
    for path, uid in uids.items():
        studies[uid or of_folder.get(path.parent) or next(iter(of_folder.values()), "")].append(path)
    name = folder.resolve().name
    if len(studies) == 1:
        return dict(zip([name], studies.values(), strict=True))
    common = {uid: Path(os.path.commonpath([path.parent for path in files])) for uid, files in studies.items()}
    places = {uid: "_".join(place.relative_to(folder).parts) or name for uid, place in common.items()}
    shared = Counter(places.values())
    return {
        place + (f"_{sha256(uid.encode()).hexdigest()[:8]}" if shared[place] > 1 else ""): studies[uid]
        for uid, place in places.items()
    }


def _read_tags(path: Path, tags: Sequence[str]) -> Any:
    """Return the dataset of some tags of a DICOM file; empty where it cannot be read."""
    import pydicom  # where MONAI Label runs there may be none
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags))
    except (InvalidDicomError, OSError, EOFError, ValueError):
        return pydicom.FileDataset(path, {})


def convert_study(folder: Path, files: Sequence[Path], workdir: Path) -> ChosenScan:
    """Convert the MR series of a study, choose a scan, and remove the other images.

    Args:
        folder: what the user named.
        files: the DICOM files in it.
        workdir: folder for what is converted, which the caller removes.

    Raises:
        InputError: there is no MR image, no series can be converted, or all images are phase.
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
        InputError: no file is MR.
    """
    series: dict[str, dict[str, Path]] = defaultdict(dict)
    names: dict[str, str] = {}
    others, unreadable = set(), []
    for path in files:
        tags = _read_tags(path, TAGS)
        modality, uid, instance, number, description = (str(tags.get(tag) or "") for tag in TAGS)
        if not modality and path.name != "DICOMDIR":
            unreadable.append(path.name)
        if modality != "MR":
            others.add(modality or "unknown")
            continue
        names.setdefault(uid, f"{number or '?'} '{description}'")
        series[uid].setdefault(instance, path)  # exports may hold a file twice
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
