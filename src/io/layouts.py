"""Public data sets and BIDS folders as items of a data list, each in the layout that its authors gave it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..checks import InputError, check_extra
from .bids.folders import bids_scans
from .bids.sidecars import bids_name
from .nifti import load_nifti
from .slicer.corrections import slicer_items

Item = dict[str, Any]


def points_mm(voxels: Iterable[Iterable[float]], image: Path) -> list[list[float]]:
    """Return 1-based voxels of the array as stored as points in the scan's world, RAS+ mm, each once, in their order.

    Raises:
        InputError: a voxel lies outside the scan.
    """
    scan = load_nifti(image, "scan")
    size = np.array(scan.shape[:3])
    unique = list(dict.fromkeys(tuple(map(float, voxel)) for voxel in voxels))
    index = np.reshape(unique, (-1, 3)) - 1
    outside = ((index < -0.5) | (index > size - 0.5)).any(axis=1)
    if outside.any():
        raise InputError(
            f"annotation of '{image}' has a microbleed at voxel {list(unique[int(outside.argmax())])}, counted from 1, "
            f"outside its {size.tolist()}: check that the annotation belongs to this scan."
        )
    return nib.affines.apply_affine(scan.affine, index).round(3).tolist()


def valdo_items(root: Path) -> list[Item]:
    """Return the scans of VALDO Task 2: T2*-weighted GRE with masks of the microbleeds.

    ``sub-XXX/sub-XXX_space-T2S_desc-masked_T2S.nii.gz`` and ``sub-XXX_space-T2S_CMB.nii.gz``; the T1 and T2 beside
    them, which have other affines and sometimes NaN, are not used. ``site`` is the cohort, the first digit of XXX.
    """
    items = []
    for image in sorted(root.rglob("sub-*_space-T2S_desc-masked_T2S.nii.gz")):
        subject = image.name.split("_")[0]
        label = image.with_name(f"{subject}_space-T2S_CMB.nii.gz")
        if not label.exists():
            raise InputError(f"scan '{image}' has no microbleed mask '{label.name}' beside it: complete the download.")
        items.append({"image": image, "label": label, "subject": subject, "site": subject[4:5], "contrast": "dark"})
    return items


def dou_items(root: Path) -> list[Item]:
    """Return the scans of Dou et al. 2016 (20 subjects, SWI) with the centres of their microbleeds.

    ``nii/NN.nii`` and ``ground_truth/NN.mat``, whose field ``cen`` holds 1-based voxels.
    """
    from scipy.io import loadmat  # here: it takes 0.3 s to load

    items = []
    for image in sorted(root.rglob("nii/*.nii*")):
        truth = image.parents[1] / "ground_truth" / f"{image.name.split('.')[0]}.mat"
        if not truth.exists():
            raise InputError(f"scan '{image}' has no annotation '{truth}': complete the download.")
        centres = loadmat(truth, variable_names=["cen"]).get("cen")
        if centres is None:
            raise InputError(f"annotation '{truth}' must have a field 'cen' of voxels, it has none: check the file.")
        subject = f"dou-{image.name.split('.')[0]}"
        items.append({"image": image, "points": points_mm(centres, image), "subject": subject, "contrast": "dark"})
    return items


def aibl_items(root: Path) -> list[Item]:
    """Return the scans of Momeni et al. 2021 (AIBL, SWI) with the centres of real and of synthetic microbleeds.

    ``{rCMB_DefiniteSubject,NoCMBSubject,sCMB_DefiniteSubject,sCMB_NoCMBSubject}/<id>.nii.gz``, and ``.xlsx`` tables of
    file names and 1-based voxels, three numbers each, some twice. A scan that no table names has no microbleed.
    Scans with ``synthetic`` true belong to the same people as the others: their ``subject`` is the first part of the
    file's name.
    """
    check_extra("experiments")
    from openpyxl import load_workbook

    tables = sorted(path for path in root.rglob("*.xlsx") if not path.name.startswith("~"))
    voxels: dict[tuple[str, str], list[list[float]]] = {}
    for table in tables:
        for sheet in load_workbook(table, read_only=True, data_only=True).worksheets:
            for row in sheet.iter_rows(values_only=True):
                name = next((str(cell) for cell in row if isinstance(cell, str) and ".nii" in cell), None)
                numbers = [float(cell) for cell in row if isinstance(cell, int | float) and not isinstance(cell, bool)]
                if name is not None:
                    if len(numbers) % 3:
                        raise InputError(f"table '{table}': '{name}' must have x, y, z triplets, it has {numbers}.")
                    key = (_kind(table.name), Path(name).name.split(".")[0])
                    voxels.setdefault(key, []).extend(numbers[k : k + 3] for k in range(0, len(numbers), 3))
    items = []
    for image in sorted(root.rglob("*.nii.gz")):
        folder, name = image.parent.name, image.name.split(".")[0]
        found = points_mm(voxels.get((_kind(folder), name), []), image)
        if not found and folder != "NoCMBSubject":
            raise InputError(f"scan '{image}' has no microbleed in the tables ({[t.name for t in tables]}): add it.")
        synthetic = folder.startswith("sCMB")
        subject = f"aibl-{name.split('_')[0]}"
        items.append({"image": image, "points": found, "subject": subject, "synthetic": synthetic, "contrast": "dark"})
    return items


def _kind(name: str) -> str:
    """Return "s" for a table or folder of synthetic microbleeds, else "r"."""
    return "s" if name.lower().startswith("scmb") else "r"


def bids_items(root: Path) -> list[Item]:
    """Return the scans of a BIDS data set, see :func:`bids_scans`, with masks, phase and people where they are.

    Under ``derivatives``, files of the same subject, session and suffix-less name that end in ``label-CMB_mask`` or
    ``desc-cmb_mask`` become ``label``, in ``desc-brain_mask`` ``mask``. Age and sex come from ``participants.tsv``.
    """
    items = []
    for scan in bids_scans(root):
        files: Item = {"image": scan.image, **({"phase": scan.phase} if scan.phase else {})}
        known = {**_derived(root, scan.entities), **scan.person, "contrast": scan.contrast}
        items.append({**files, **known, "subject": f"sub-{scan.entities['sub']}"})
    return items


def _derived(root: Path, entities: dict[str, str]) -> Item:
    """Return the label and the brain mask of a scan that lie under ``derivatives``."""
    found: Item = {}
    for path in sorted((root / "derivatives").glob(f"**/sub-{entities['sub']}_*mask.nii*")):
        others, _ = bids_name(path)
        kind = {"CMB": "label", "cmb": "label", "brain": "mask"}.get(others.pop("label", others.pop("desc", "")))
        others = {name: value for name, value in others.items() if name not in ("echo", "part", "space", "desc")}
        if kind and all(entities.get(name) == value for name, value in others.items()):
            found[kind] = path
    return found


LAYOUTS: dict[str, Callable[..., list[Item]]] = {
    "valdo": valdo_items,
    "dou": dou_items,
    "aibl": aibl_items,
    "bids": bids_items,
    "slicer": slicer_items,
}
"""Readers of the layouts, by name."""


def read_layout(root: Path, layout: str, scans: Path | None = None) -> list[list[Item]]:
    """Return the items of each subject of a data set; paths are absolute.

    Args:
        root: folder of the data set, or one above it.
        layout: key of :data:`LAYOUTS`.
        scans: where the scans of layout "slicer" are, see :func:`csvd.io.slicer_items`.

    Raises:
        InputError: there is no such folder or scan, or an annotation is missing or does not fit.
    """
    if not root.is_dir():
        raise InputError(f"data set '{root}' is not a folder: check the path.")
    if scans is not None and layout != "slicer":
        raise InputError(f"layout '{layout}' holds its own scans: leave out --scans, which is for 'slicer'.")
    items = LAYOUTS[layout](root.absolute(), *([] if scans is None else [scans.absolute()]))
    if not items:
        raise InputError(f"folder '{root}' holds no scan in the layout '{layout}': check the path and the layout.")
    subjects: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        subjects[item["subject"]].append({key: str(v) if isinstance(v, Path) else v for key, v in item.items()})
    return list(subjects.values())
