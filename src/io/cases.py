"""The scans that a path names: a file, a folder of files, a BIDS folder, DICOM studies or a data list."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..names import folder_name
from ..sequences import SEQUENCES
from .bids.folders import BIDS_SUFFIXES, bids_scans, is_bids
from .bids.labels import Labels
from .bids.sidecars import bids_name
from .datalist import load_datalist
from .dicom.studies import convert_study, find_studies
from .files import sha256
from .phase import phase_beside
from .sequence import names_swi

NOT_SCANS = ("mask", "label", "labels", "seg", "dseg", "lesions", "cmb", "prob", "ph", "phase")
"""Last words, after an underscore, of the names of files that are no input of the detector."""


@dataclass(frozen=True)
class Case:
    """One scan to work on. A person (``subject``) may have several: contrasts, visits, repetitions.

    Attributes:
        name: unique among the cases of a run; names the output folder.
        image: the scan; folder of a DICOM study until that is converted.
        subject: the person, where a data list or BIDS says who it is.
        mask: brain mask on the grid of the scan.
        phase: phase image of the same acquisition, or QSM, on the grid of the scan.
        dicom: DICOM files of the study, or of the series that the scan was converted from.
        contrast: ``"dark"`` or ``"bright"`` microbleeds, where the data list says so.
        sequence: one of :data:`csvd.sequences.SEQUENCES`, where the data list or tags say which.
        listed: all that the data list says of it.
        notes: choices made on the way from the user's path to ``image``, one sentence each.
        warnings: what the user must be told of them, one sentence each.
    """

    name: str
    image: Path
    subject: str | None = None
    mask: Path | None = None
    phase: Path | None = None
    dicom: tuple[Path, ...] = ()
    contrast: str | None = None
    sequence: str | None = None
    listed: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """What messages and results call it."""
        return str(self.image)

    @property
    def paths(self) -> list[Path]:
        """What the user has of it: the folders that these lie in go into no result, see :func:`without_folders`."""
        return [path for path in (self.image, self.mask, self.phase) if path is not None]

    @property
    def is_dicom(self) -> bool:
        """Whether it is a DICOM study."""
        return bool(self.dicom)

    @property
    def is_swi(self) -> bool:
        """Whether it is known to be SWI: by its sequence, or where none is known by the last word of its name."""
        return self.contrast != "bright" and (self.sequence == "SWI" if self.sequence else names_swi(self.image))

    def digests(self) -> Sequence[str | None]:
        """Return the SHA-256 of each file of the scan, None for one that is not there."""
        return [sha256(file) if file.is_file() else None for file in self.dicom or (self.image,)]

    def converted(self, workdir: Path) -> Case:
        """Return the case with the scan of its DICOM study as NIfTI, in ``workdir``; itself where it has no study.

        Raises:
            InputError: see :func:`csvd.io.dicom.studies.convert_study`.
        """
        if not self.dicom:
            return self
        scan = convert_study(self.image, self.dicom, workdir)
        notes, warnings = [*self.notes, *scan.notes], [*self.warnings, *scan.warnings]
        phase = self.phase or scan.phase
        return replace(self, image=scan.image, phase=phase, dicom=scan.files, notes=notes, warnings=warnings)

    def item(self, also: Collection[str] = ()) -> dict[str, Any]:
        """Return the dictionary that transforms take: ``image``, ``case``, its name, and, where known, the rest.

        ``notes`` and ``warnings`` are lines of text, because batches cannot hold lists of different lengths.

        Args:
            also: further keys to take over from what is listed, such as "age".
        """
        item: dict[str, Any] = {"image": str(self.image), "case": self.name}
        item |= {"notes": _lines(self.notes), "warnings": _lines(self.warnings)}
        if self.subject is not None:
            item["subject"] = self.subject
        if self.mask is not None:
            item["mask"] = str(self.mask)
        if self.phase is not None:
            item["phase"] = str(self.phase)
        if self.contrast is not None:
            item["contrast"] = self.contrast
        return item | {key: self.listed[key] for key in also if key in self.listed}


def find_cases(
    input_path: str | os.PathLike[str],
    mask: str | os.PathLike[str] | None = None,
    section: str = "test",
    known: Mapping[str, Any] | None = None,
    phase: str | os.PathLike[str] | None = None,
    labels: Labels | None = None,
) -> list[Case]:
    """Return the scans that a path names. None is read here: :func:`check_scan` checks each in its turn.

    A scan gets the phase image that lies beside it, see :func:`csvd.io.find_phase`, unless it has another.

    Args:
        input_path: ``.nii`` or ``.nii.gz`` file, folder of such files (not their subfolders; masks, labels and phase
            images are left out), BIDS folder (see :func:`csvd.io.bids.folders.bids_scans`), folder of DICOM studies
            (subfolders too; one scan of each), or data list (``.json``).
        mask: brain mask, for a single scan.
        section: section of a data list.
        known: what a data list would say of it, such as "age", for a single scan.
        phase: phase image or QSM, for a single scan.
        labels: participants and sessions of a BIDS folder; all when not given.

    Raises:
        InputError: nothing is there, no file is a scan, two scans have the same name, or ``mask``, ``phase`` or
            ``known`` meets several scans.
    """
    path = Path(input_path)
    if not os.path.lexists(path):  # a link to nothing is a scan that has its reason to fail
        raise InputError(f"input '{path}' does not exist: check the path.")
    if path.is_dir() and is_bids(path):
        cases = _cases_of_bids(path, labels or Labels())
    elif path.is_dir():
        cases = _cases_of_folder(path)
    elif path.suffix.lower() == ".json":
        cases = _cases_of_items(load_datalist(path, section), path)
    elif _is_nifti(path):
        cases = [Case(_name(path), path)]
    else:
        raise InputError(f"input '{path}' is not .nii, .nii.gz, a folder or a data list (.json): convert it to NIfTI.")
    _check_names(cases, path)
    files: dict[str, Any] = {name: Path(file) for name, file in (("mask", mask), ("phase", phase)) if file is not None}
    specified = {name: value for name, value in (known or {}).items() if value is not None}
    if (files or specified) and len(cases) > 1:
        name, value = next(iter({**files, **specified}.items()))
        raise InputError(
            f"{name} '{value}' fits one scan, '{path}' holds {len(cases)}. Name each {name} in a data list."
        )
    return [_with_phase(replace(case, listed={**case.listed, **specified}, **files)) for case in cases]


def find_items(path: str | os.PathLike[str], also: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return :meth:`Case.item` of each scan that ``path`` names, but for DICOM, for the dataset of a config.

    Args:
        path: see :func:`find_cases`.
        also: see :meth:`Case.item`.

    Raises:
        InputError: the scans are DICOM, or see :func:`find_cases`.
    """
    cases = find_cases(path)
    if cases[0].dicom:
        raise InputError(f"folder '{path}' holds DICOM files: use `csvd detect`, which converts them, or convert it.")
    return [case.item(also) for case in cases]


def _cases_of_folder(folder: Path) -> list[Case]:
    files = sorted(path for path in folder.iterdir() if _is_nifti(path) and not path.name.startswith("."))
    skipped = [path.name for path in files if _name(path).lower().rpartition("_")[2] in NOT_SCANS]
    scans = [path for path in files if path.name not in skipped]
    if scans:
        notes = [f"left out of folder '{folder}', not scans by their names: {_listed(skipped)}"] if skipped else []
        return [Case(_name(path), path, notes=notes.copy()) for path in scans]
    studies = find_studies(folder)
    if studies:
        return [Case(folder_name(name), folder, dicom=tuple(files)) for name, files in studies.items()]
    what = f"only {_listed(skipped)}" if skipped else "neither NIfTI (.nii, .nii.gz) nor DICOM files"
    raise InputError(
        f"folder '{folder}' must hold scans, it holds {what}. NIfTI files in subfolders are not read: give one of them."
    )


def _cases_of_bids(root: Path, labels: Labels) -> list[Case]:
    scans = bids_scans(root, missing=True, labels=labels)
    if not scans:
        found = sorted({bids_name(path)[1] for pattern in labels.patterns() for path in root.glob(f"{pattern}.nii*")})
        chosen = "" if labels == Labels() else " for these labels"
        raise InputError(
            f"BIDS folder '{root}' must hold scans named {', '.join(BIDS_SUFFIXES)} in sub-*/[ses-*/]anat, it holds "
            f"{_listed(found) or 'no image'}{chosen}. Name the scans so, or give their folder."
        )
    return [
        Case(
            folder_name(scan.name),
            scan.image,
            f"sub-{scan.entities['sub']}",
            phase=scan.phase,
            contrast=scan.contrast,
            listed=scan.person,
            notes=scan.notes,
            warnings=scan.warnings,
        )
        for scan in scans
    ]


def _cases_of_items(items: Sequence[dict[str, Any]], path: Path) -> list[Case]:
    """Return the cases of a data list: named by its ``case``, by a ``subject`` with one scan, else by their files."""
    persons = Counter(str(item["subject"]) for item in items if "subject" in item)
    stated = [item.get("case", item.get("subject")) for item in items]
    own = ["case" in item or persons[str(item.get("subject"))] == 1 for item in items]
    files = iter(_names_of_files([Path(item["image"]) for item, is_own in zip(items, own, strict=True) if not is_own]))
    names = [str(name) if is_own else next(files) for name, is_own in zip(stated, own, strict=True)]
    return [_case_of_item(item, name, path) for item, name in zip(items, names, strict=True)]


def _names_of_files(images: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own, after as many of its folders as it takes to tell all apart."""
    parts = [[*image.parent.parts[1:], _name(image)] for image in images]
    names = [part[-1] for part in parts]
    for depth in range(2, max(map(len, parts), default=0) + 1):
        shared = {name for name, count in Counter(name.casefold() for name in names).items() if count > 1}
        if not shared:
            break
        names = [
            folder_name("_".join(part[-depth:])) if name.casefold() in shared else name
            for name, part in zip(names, parts, strict=True)
        ]
    return names


def _case_of_item(item: dict[str, Any], name: str, path: Path) -> Case:
    if not name.strip(".") or set(name) & set("/\\:"):
        raise InputError(f"data list '{path}': case '{name}' must be usable as a folder name. Rename it.")
    if item.get("contrast") not in (None, "dark", "bright"):
        raise InputError(
            f"data list '{path}': `contrast` of case '{name}' must be 'dark' or 'bright', it is "
            f"{item['contrast']!r:.50}. Correct it."
        )
    if item.get("sequence") not in (None, *SEQUENCES):
        raise InputError(
            f"data list '{path}': `sequence` of case '{name}' must be one of {', '.join(SEQUENCES)}, it is "
            f"{item['sequence']!r:.50}. Correct it."
        )
    if not isinstance(item.get("mask"), str | None) or not isinstance(item.get("phase"), str | None):
        raise InputError(f"data list '{path}': `mask` and `phase` of case '{name}' must be paths. Correct them.")
    files: dict[str, Any] = {key: Path(item[key]) for key in ("mask", "phase") if item.get(key) is not None}
    subject = None if item.get("subject") is None else str(item["subject"])
    return Case(
        folder_name(name),
        Path(item["image"]),
        subject,
        **files,
        contrast=item.get("contrast"),
        sequence=item.get("sequence"),
        listed=item,
    )


def _with_phase(case: Case) -> Case:
    if case.phase is not None or case.dicom:
        return case
    phase, warnings = phase_beside(case.image)
    return replace(case, phase=phase, warnings=[*case.warnings, *warnings])


def _check_names(cases: list[Case], path: Path) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        key = unicodedata.normalize("NFC", case.name).casefold()  # macOS and Windows would write both into one folder
        if key in seen:
            raise InputError(
                f"input '{path}' has two scans named '{case.name}': '{seen[key].image}' and '{case.image}'. "
                "Rename one, or give each its own `case` in a data list."
            )
        seen[key] = case


def _lines(sentences: Sequence[str]) -> str:
    """Return sentences as lines; names of files, which may hold a line break, on the line of their sentence."""
    return "\n".join(" ".join(sentence.split()) for sentence in sentences)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _name(path: Path) -> str:
    return folder_name(path.name[: path.name.lower().rindex(".nii")] if _is_nifti(path) else path.name)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
