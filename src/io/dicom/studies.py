"""DICOM studies, wherever their files lie, and the scan of each to work on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...checks import InputError, check_extra
from .choice import choose_phase, choose_scan, suitability
from .conversion import Converted, NotConverted, convert_all
from .files import is_dicom, read_tags, values_of
from .series import Series, common_folder, sort_series

TAGS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "StudyDate", "NumberOfFrames")
PIECE = 2
"""So many files of one StudyInstanceUID, a slice and perhaps its copy, may be a piece of a study."""


@dataclass(frozen=True)
class ChosenScan:
    """The scan of a study to work on.

    Attributes:
        image: the NIfTI file.
        phase: phase image of the same acquisition, if there is one.
        files: DICOM files of the series of ``image``.
        folder: the folder of ``files``, which the user knows.
        notes: how it was chosen, one sentence each.
        warnings: what the user must know of it, one sentence each.
    """

    image: Path
    phase: Path | None
    files: tuple[Path, ...]
    folder: Path
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_studies(folder: Path) -> dict[str, list[Path]]:
    """Return the DICOM files of each study in a folder and its subfolders, by a name for it.

    One study is called like the folder; each of several after the folders that it lies in, and where others lie in the
    same, also by a part of the SHA-256 of its StudyInstanceUID, so that one that comes later takes no other's name.
    Hidden files are left out; what names no study goes with others in its folder. Files of which each names a study of
    its own are one study, see :func:`_join`.

    Raises:
        InputError: there are some, and csvd was installed without its extra for DICOM.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    shown = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    dicom = [path for path in tqdm(shown, "files", unit="file", disable=None, leave=False) if is_dicom(path)]
    if dicom:
        check_extra("dicom")
    studies = _join({path: _Names.of(path) for path in dicom})
    name = folder.resolve().name
    if len(studies) == 1:
        return dict(zip([name], studies.values(), strict=True))
    study_names = {
        uid: "_".join(common_folder(files).relative_to(folder).parts) or name for uid, files in studies.items()
    }
    shared = Counter(study_names.values())
    return {
        study_name + (f"_{sha256(uid.encode()).hexdigest()[:8]}" if shared[study_name] > 1 else ""): studies[uid]
        for uid, study_name in study_names.items()
    }


@dataclass(frozen=True)
class _Names:
    """What a DICOM file says of where it belongs; empty where it says nothing."""

    study: str
    series: str
    frame_of_reference: str
    person: tuple[str, str]
    one_image: bool

    @classmethod
    def of(cls, path: Path) -> "_Names":
        header: Any = read_tags(path, TAGS)
        study, series, frame, patient, date, frames = (" ".join(values_of(header, tag)) for tag in TAGS)
        return cls(study, series, frame, (patient, date), frames in ("", "1"))


def _join(names: dict[Path, _Names]) -> dict[str, list[Path]]:
    """Return the files of each study, by a StudyInstanceUID of it.

    Some anonymising programs give each file a StudyInstanceUID of its own, others all people the same. Pieces of a
    person are one study when they share a series, a frame of reference or, on one day, a folder.
    """
    of_folder = {path.parent: one.study for path, one in names.items() if one.study}
    study_of = {
        path: one.study or of_folder.get(path.parent) or next(iter(of_folder.values()), "")
        for path, one in names.items()
    }
    patients: dict[str, set[str]] = defaultdict(set)
    for path, one in names.items():
        patients[study_of[path]].add(one.person[0])
    members: dict[str, list[Path]] = defaultdict(list)
    for path, one in names.items():
        several = len(patients[study_of[path]] - {""}) > 1
        members[study_of[path] + (f" {one.person[0]}" if several else "")].append(path)
    root = {study: study for study in members}

    def find(study: str) -> str:
        while root[study] != study:
            study = root[study]
        return study

    def unite(studies: Iterable[tuple[Any, str]]) -> None:
        first: dict[Any, str] = {}
        for key, study in studies:
            root[find(study)] = find(first.setdefault(key, study))

    pieces = {study: paths for study, paths in members.items() if len(paths) <= PIECE}
    filed = [(study, path, names[path]) for study, paths in pieces.items() for path in paths if names[path].one_image]
    unite(((one.series, one.person[0]), study) for study, _, one in filed if one.series)
    unite(((path.parent, one.person), study) for study, path, one in filed)
    identified = [(study, one) for study, _, one in filed if one.frame_of_reference and one.person[0]]
    unite(((one.frame_of_reference, one.person), study) for study, one in identified)
    studies: dict[str, list[Path]] = defaultdict(list)
    for study, paths in members.items():
        studies[find(study)] += paths
    return studies


def convert_study(folder: Path, files: Sequence[Path], workdir: Path) -> ChosenScan:
    """Convert the MR series of a study, choose a scan, and remove the other images.

    Args:
        folder: what the user named.
        files: the DICOM files in it.
        workdir: folder for what is converted, which the caller removes.

    Raises:
        InputError: there is no MR image, no series can be converted, or all images are phase.
    """
    series, notes = sort_series(files)
    mr = [one for one in series if one.first.text("Modality") == "MR"]
    if not mr:
        others = sorted({one.first.text("Modality") for one in series}) or ["unknown"]
        raise InputError(
            f"DICOM folder '{folder}' must hold MR images, its {len(files)} DICOM files are of modality "
            f"{', '.join(others)}. Give the folder of the scan."
        )
    scans, failed = convert_all(mr, workdir)
    if not scans:
        raise failed[0].error
    scan, reason = choose_scan(scans)
    phase = choose_phase(scans, scan)
    for other in scans:
        if other not in (scan, phase):
            other.image.unlink()
    names = [one.name for one in mr]
    listed = [f"series of the study: {', '.join(names)}"] if len(names) > 1 else []
    left, missed = _left_out(scan, failed)
    return ChosenScan(
        image=scan.image,
        phase=None if phase is None else phase.image,
        files=scan.files,
        folder=scan.folder,
        notes=[f"converted from DICOM: {reason}", *listed, *scan.notes, *_copies(mr), *notes, *left],
        warnings=[*missed, *_not_original(scan, scans), *scan.warnings],
    )


def _left_out(scan: Converted, failed: Sequence[NotConverted]) -> tuple[list[str], list[str]]:
    """Return notes on the series that could not be converted, and warnings on those that would have been chosen."""
    better = [
        one for one in failed if one.scan.kind not in ("phase", "complex") and suitability(one.scan) > suitability(scan)
    ]
    notes = [f"series {one.scan.series} is left out: {one.error}" for one in failed if one not in better]
    return notes, [f"series {scan.series} was taken in place of a better one: {one.error}" for one in better]


def _copies(series: Iterable[Series]) -> list[str]:
    return [f"series {one.name}: {one.copies} DICOM files are copies, left out" for one in series if one.copies]


def _not_original(scan: Converted, scans: Sequence[Converted]) -> list[str]:
    """Return a warning on a scan that is a projection or the like; a map of susceptibility is right as it is."""
    if scan.kind != "derived" or scan.sequence == "QSM":
        return []
    return [
        f"series {scan.series} in DICOM folder '{scan.folder}' is no original but a derived image ({scan.derivation}): "
        "sizes and numbers of lesions are not those of the original. Give the original series"
    ]
