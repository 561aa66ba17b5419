"""The scans that a path names: a file, a folder of files, a DICOM series or a data list."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..checks import InputError
from .datalist import load_datalist
from .dicom import choose_scan, convert_dicom, is_dicom_folder
from .phase import phase_beside

NOT_SCANS = ("mask", "label", "labels", "seg", "dseg", "lesions", "cmb", "prob", "ph", "phase")
"""Last words, after an underscore, of the names of files that are no input of the detector."""


@dataclass(frozen=True)
class Case:
    """One scan to work on.

    Attributes:
        name: unique among the cases of a run; names the output folder.
        image: the scan.
        mask: brain mask on the grid of the scan.
        phase: phase image or QSM on the grid of the scan.
        contrast: ``"dark"`` or ``"bright"`` microbleeds, where the data list says so.
        listed: all that the data list says of it.
        notes: choices made on the way from the user's path to ``image``, one sentence each.
    """

    name: str
    image: Path
    mask: Path | None = None
    phase: Path | None = None
    contrast: str | None = None
    listed: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def item(self) -> dict[str, str]:
        """Return the dictionary that transforms take: ``image``, ``subject``, ``notes`` and, where known, the rest."""
        item = {"image": str(self.image), "subject": self.name, "notes": "; ".join(self.notes)}
        if self.mask is not None:
            item["mask"] = str(self.mask)
        if self.phase is not None:
            item["phase"] = str(self.phase)
        if self.contrast is not None:
            item["contrast"] = self.contrast
        return item


def find_cases(
    input_path: str | os.PathLike[str],
    mask: str | os.PathLike[str] | None = None,
    section: str = "test",
    workdir: str | os.PathLike[str] | None = None,
    phase: str | os.PathLike[str] | None = None,
) -> list[Case]:
    """Return the scans that a path names. Only DICOM is read here: :func:`check_scan` judges each scan in its turn.

    A scan gets the phase image that lies beside it, see :func:`csvd.data.find_phase`, unless it has another.

    Args:
        input_path: ``.nii`` or ``.nii.gz`` file, folder of such files (not their subfolders; masks, labels and phase
            images are left out), folder of DICOM files, or data list (``.json``).
        mask: brain mask, for a single scan.
        section: section of a data list.
        workdir: folder for what is converted from DICOM, which the caller removes.
        phase: phase image or QSM, for a single scan.

    Raises:
        InputError: nothing is there, no file is a scan, two scans have the same name, or ``mask`` or ``phase`` meets
            several scans.
    """
    path = Path(input_path)
    if not path.exists():
        raise InputError(f"input '{path}' does not exist: check the path.")
    if path.is_dir():
        cases = _cases_of_folder(path, workdir)
    elif path.suffix.lower() == ".json":
        cases = [_case_of_item(item, path) for item in load_datalist(path, section)]
    elif _is_nifti(path):
        cases = [Case(_name(path), path)]
    else:
        raise InputError(f"input '{path}' is not .nii, .nii.gz, a folder or a data list (.json): convert it to NIfTI.")
    _check_names(cases, path)
    given: dict[str, Any] = {name: Path(file) for name, file in (("mask", mask), ("phase", phase)) if file is not None}
    if given and len(cases) > 1:
        name, file = next(iter(given.items()))
        raise InputError(
            f"{name} '{file}' fits one scan, '{path}' holds {len(cases)}. Name each {name} in a data list."
        )
    return [_with_phase(replace(case, **given)) for case in cases]


def find_items(path: str | os.PathLike[str], also: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return :meth:`Case.item` of each scan that ``path`` names, for the dataset of a config.

    Args:
        path: see :func:`find_cases`.
        also: further keys to take over from a data list, such as "age".
    """
    return [
        {**case.item(), **{key: case.listed[key] for key in also if key in case.listed}} for case in find_cases(path)
    ]


def _cases_of_folder(folder: Path, workdir: str | os.PathLike[str] | None) -> list[Case]:
    files = sorted(path for path in folder.iterdir() if _is_nifti(path) and not path.name.startswith("."))
    skipped = [path.name for path in files if _name(path).lower().rpartition("_")[2] in NOT_SCANS]
    scans = [path for path in files if path.name not in skipped]
    if scans:
        notes = [f"left out of folder '{folder}', not scans by their names: {_listed(skipped)}"] if skipped else []
        return [Case(_name(path), path, notes=notes.copy()) for path in scans]
    if is_dicom_folder(folder):
        return [_case_of_dicom(folder, workdir)]
    what = f"only {_listed(skipped)}" if skipped else "neither NIfTI (.nii, .nii.gz) nor DICOM files"
    raise InputError(f"folder '{folder}' must hold scans, it holds {what}. Subfolders are not read: give one of them.")


def _case_of_dicom(folder: Path, workdir: str | os.PathLike[str] | None) -> Case:
    if workdir is None:
        raise InputError(f"folder '{folder}' holds DICOM files: use `csvd detect`, which converts them, or convert it.")
    scan, reason = choose_scan(convert_dicom(folder, Path(workdir)))
    notes = [f"converted from DICOM: {reason}", *(f"dcm2niix: {warning}" for warning in scan.warnings)]
    return Case(folder.resolve().name, scan.image, notes=notes)


def _case_of_item(item: dict[str, Any], path: Path) -> Case:
    image = Path(item["image"])
    name = str(item.get("subject", _name(image)))
    if not name.strip(".") or set(name) & set("/\\:"):
        raise InputError(f"data list '{path}': subject '{name}' must be usable as a folder name. Rename it.")
    if item.get("contrast") not in (None, "dark", "bright"):
        raise InputError(
            f"data list '{path}': `contrast` of subject '{name}' must be 'dark' or 'bright', it is "
            f"{item['contrast']!r}. Correct it."
        )
    files: dict[str, Any] = {key: Path(item[key]) for key in ("mask", "phase") if item.get(key) is not None}
    return Case(name, image, **files, contrast=item.get("contrast"), listed=item)


def _with_phase(case: Case) -> Case:
    if case.phase is not None:
        return case
    phase, notes = phase_beside(case.image)
    return replace(case, phase=phase, notes=[*case.notes, *notes])


def _check_names(cases: list[Case], path: Path) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        key = case.name.casefold()  # macOS and Windows would write both into one folder
        if key in seen:
            raise InputError(
                f"input '{path}' has two scans named '{case.name}': '{seen[key].image}' and '{case.image}'. "
                "Rename one, or give each its own `subject` in a data list."
            )
        seen[key] = case


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _name(path: Path) -> str:
    return path.name[: path.name.lower().rindex(".nii")] if _is_nifti(path) else path.name


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
