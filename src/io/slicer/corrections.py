"""Results of csvd that people corrected in 3D Slicer, as items of a data list to train on."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...checks import InputError
from ..cases import Case, find_cases
from ..files import sha256
from ..json_files import read_json
from ..nifti import axes_onto, load_nifti
from .markups import Markups, read_markups

POINTS = ".mrk.json"
MASKS = ("_cmb.nii", "_cmb.nii.gz")
SCENE_MASK = re.compile(r".*_(cmb|dseg)(\.nii(\.gz)?)?\.seg\.nrrd")
"""Names that 3D Slicer gives a mask that it saves with a scene."""
DERIVED = re.compile(r"(?P<source>sub-.+)_desc-cmb(?P<suffix>[^\W_]*)_(lesions\.mrk\.json|dseg\.nii(\.gz)?)")
"""Names of points and masks in a BIDS derivative, see :mod:`csvd.io.bids.derivative`."""


@dataclass(frozen=True)
class Review:
    """What lies in a folder about one case.

    Attributes:
        case: its name.
        record: what csvd wrote to its JSON; empty where that is not there.
        changed: markups and masks that are not as csvd wrote them.
    """

    case: str
    record: dict[str, Any] = field(default_factory=dict)
    changed: tuple[Path, ...] = ()


def slicer_items(root: Path, scans: Path | None = None) -> list[dict[str, Any]]:
    """Return the scans whose results people corrected, with points in RAS+ mm, boxes in LPS mm, or the path of a mask.

    A correction is ``<case>_lesions.mrk.json`` (points or boxes) or ``<case>_cmb.nii.gz``, either in the folder that
    ``csvd detect`` wrote, saved there again, or in any other folder below ``root``; in a BIDS derivative their names
    are ``*_desc-cmb_lesions.mrk.json`` and ``*_desc-cmb_dseg.nii.gz``. Cases whose files are all as csvd
    wrote them are left out, see :func:`not_reviewed`: a detection that nobody looked at is no truth.

    Args:
        root: folder of results, of corrections, or of both.
        scans: what was given to ``csvd detect``: folder (its subfolders are searched too), scan or data list. Results
            name the file of a scan, not its folder, which may name a person. Defaults to ``root``.

    Raises:
        InputError: nothing was corrected, a case was corrected twice, a scan is not there or there twice, or a
            correction does not fit its scan; see also :func:`csvd.io.slicer.markups.read_markups`.
    """
    reviews = find_reviews(root)
    reviewed = [review for review in reviews if review.changed]
    if reviews and not reviewed:
        raise InputError(
            f"folder '{root}' holds no corrected file, the files of its {len(reviews)} cases are as csvd wrote "
            f"them: correct '{reviews[0].case}_lesions.mrk.json' in 3D Slicer, and save it also where it is right."
        )
    shelf = _Scans(scans or root)
    return [_item(review, shelf.find(review)) for review in reviewed]


def not_reviewed(root: Path) -> list[str]:
    """Return the cases below a folder whose results nobody has changed."""
    return [review.case for review in find_reviews(root) if not review.changed]


def find_reviews(root: Path) -> list[Review]:
    """Return the cases below a folder that have markups or masks, by name.

    Raises:
        InputError: a case has two markups files, two corrections, two results, or a segmentation that is not NIfTI.
    """
    records = _records(root)
    folders = {folder: case for case, (folder, _) in records.items() if folder.name == case}
    files: dict[str, list[Path]] = defaultdict(list)
    for path in _visible(root, "*"):
        if SCENE_MASK.fullmatch(path.name):
            raise InputError(
                f"segmentation '{path}' is not NIfTI: export it as .nii.gz on the grid of its scan, or remove it where "
                "the points are the correction."
            )
        of_others = path.parent not in folders and _holds_result(path.parent)  # of the classifier
        if DERIVED.fullmatch(path.name) or (path.name.endswith((POINTS, *MASKS)) and not of_others):
            files[folders.get(path.parent) or _case_of(path)].append(path)
    return [_review(case, files[case], *records.get(case, (None, {}))) for case in sorted(files)]


def _review(case: str, files: list[Path], folder: Path | None, record: dict[str, Any]) -> Review:
    markups = [path for path in files if path.parent == folder and path.name.endswith(POINTS)]
    if len(markups) > 1:
        raise InputError(
            f"case '{case}' must have one markups file, '{folder}' holds {[path.name for path in markups]}: put all "
            f"points into '{case}_lesions.mrk.json'."
        )
    written = record.get("sha256", {})
    changed = [path for path in files if path.parent != folder or written.get(path.name) != sha256(path)]
    if len(changed) > 1:
        raise InputError(
            f"case '{case}' must have one correction, it has {', '.join(f'{str(path)!r}' for path in changed)}: "
            "keep the one that is right."
        )
    return Review(case, record, tuple(changed))


def _records(root: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return folder and record of each case that csvd wrote below ``root``."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in _visible(root, "*.json"):
        if path.stem != path.parent.name and not path.name.endswith("_record.json"):
            continue
        record = _read_json(path, "result")
        if "sha256" not in record:  # not of the detector
            continue
        case = record.get("case")
        if not isinstance(case, str) or not _is_whole(record):
            raise InputError(f"result '{path}' is damaged: it lacks its case, its files or its input. Detect again.")
        if case in found:
            raise InputError(
                f"case '{case}' has two results, '{found[case][0]}' and '{path.parent}': give one folder of results."
            )
        found[case] = (path.parent, record)
    return found


def _visible(root: Path, pattern: str) -> list[Path]:
    """Return what lies below a folder, but for hidden files and folders, such as a killed run may leave."""
    paths = sorted(root.rglob(pattern))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts)]


def _is_whole(record: dict[str, Any]) -> bool:
    """Return whether what is read of a result is of the kind that csvd writes."""
    scan = record.get("input", {})
    if not isinstance(record["sha256"], dict) or not isinstance(scan, dict):
        return False
    shape, contrast = scan.get("shape"), record.get("contrast")
    kinds = isinstance(scan.get("file"), str | None), isinstance(shape, list | None)
    return all(kinds) and contrast in (None, "dark", "bright")


def _holds_result(folder: Path) -> bool:
    """Return whether a folder is that of a case; ``cohort/cohort.json`` describes the columns of a table."""
    path = folder / f"{folder.name}.json"
    return path.exists() and "case" in _read_json(path, "result")


def _read_json(path: Path, what: str) -> dict[str, Any]:
    content = read_json(path, f"{what} '{path}'", "make it again.")
    return content if isinstance(content, dict) else {}


def _case_of(path: Path) -> str:
    derived = DERIVED.fullmatch(path.name)
    if derived:
        return f"{derived['source']}_{derived['suffix'] or 'swi'}"
    return re.sub(r"((_lesions)?\.mrk\.json|_cmb\.nii(\.gz)?)$", "", path.name)


class _Scans:
    """Scans by the name of the case or of the file."""

    def __init__(self, source: Path) -> None:
        if not source.exists():
            raise InputError(f"scans '{source}' do not exist: check the path.")
        self.source = source
        self.listed = source.suffix.lower() == ".json"
        self.cases: dict[str, list[Case]] = defaultdict(list)
        if not self.listed:
            for path in sorted(source.rglob("*.nii*")) if source.is_dir() else [source]:
                self.cases[path.name].append(Case(path.name, path))
            return
        content = _read_json(source, "data list")
        for section in [name for name, items in content.items() if items and isinstance(items, list)]:
            for case in find_cases(source, section=section):
                self.cases[case.name].append(case)

    def find(self, review: Review) -> Case:
        """Return the scan of a case; raises an InputError unless there is one."""
        file = review.record.get("input", {}).get("file")
        files = [file] if file else [f"{review.case}.nii.gz", f"{review.case}.nii"]
        names = [review.case] if self.listed else files
        found = [case for name in names for case in self.cases.get(name, [])]
        if len(found) != 1:
            where = [str(case.image) for case in found] or "nowhere"
            raise InputError(
                f"the scan of case '{review.case}', {' or '.join(map(repr, names))}, must be once in "
                f"'{self.source}', it is {where}. Give the folder or data list of its scan with --scans; convert "
                "DICOM to NIfTI."
            )
        return found[0]


def _item(review: Review, case: Case) -> dict[str, Any]:
    (path,) = review.changed
    scan = load_nifti(case.image, "scan")
    shape = review.record.get("input", {}).get("shape")
    if shape is not None and tuple(shape) not in (scan.shape, (*scan.shape, 1)):
        raise InputError(
            f"case '{review.case}' was found in a scan of shape {shape}, '{case.image}' has {list(scan.shape)}: give "
            "the scan that was detected in with --scans."
        )
    contrast = case.contrast or review.record.get("contrast")
    person = re.match(r"sub-[a-zA-Z0-9]+", review.case)  # all sessions and runs of a person go to one part of the list
    item = {"image": case.image, "subject": person.group() if person else review.case}
    item |= ({"contrast": contrast} if contrast else {}) | ({"mask": case.mask} if case.mask else {})
    if not path.name.endswith(POINTS):
        _check_grid(path, case.image, scan)
        return item | {"label": path}
    markups = read_markups(path)
    _check_inside(markups, path, case.image, scan)
    if not len(markups.boxes):
        return item | {"points": (markups.points * (-1, -1, 1) + 0.0).round(3).tolist()}
    if len(markups.points):
        raise InputError(f"markups '{path}' must hold points or boxes, they hold both: keep one kind.")
    return item | {"box": markups.boxes.round(3).tolist(), "label": [0] * len(markups.boxes)}


def _check_inside(markups: Markups, path: Path, image: Path, scan: nib.Nifti1Image) -> None:
    voxels = nib.affines.apply_affine(np.linalg.inv(scan.affine), markups.centres * (-1, -1, 1))
    outside = ((voxels < -0.5) | (voxels > np.array(scan.shape[:3]) - 0.5)).any(axis=1)
    if outside.any():
        first = int(outside.argmax())
        raise InputError(
            f"markups '{path}': '{markups.names[first]}' at {markups.centres[first].round(1).tolist()} mm (LPS), voxel "
            f"{voxels[first].round(1).tolist()}, lies outside '{image}' of {list(scan.shape[:3])}: move or delete it, "
            "or check that the markups belong to this scan."
        )


def _check_grid(path: Path, image: Path, scan: nib.Nifti1Image) -> None:
    mask = load_nifti(path, "mask")
    axes_onto(f"mask '{path}'", mask.affine, mask.shape, f"its scan '{image}'", scan.affine, scan.shape[:3])
