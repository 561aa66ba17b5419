"""A cohort of real scans into which microbleeds are planted: to measure, calibrate and train on the own scanner."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch

from ..checks import InputError, check_positive
from ..io.files import atomic_folder
from ..io.splits import check_split, write_datalist
from ..io.tables import write_table
from .cohort import prepare_folder, simulate_each, write_nifti
from .planting_scan import PLANTED_COLUMNS, PlantedScan, plant_scan

NO_SCANS = re.compile(r"(mask|label|lesions?|dseg|phase|seg|mimics|vessels)\.nii(\.gz)?$", re.IGNORECASE)
"""Ends of the names of NIfTI files that are no scans to plant into."""
HEALTHY = 0.25
"""Share of subjects into whom nothing is planted, so that false positives of healthy people are measured too."""
SPREAD = 0.9
"""Standard deviation of the logarithm of the number of microbleeds of a subject who has any."""
MOST_LESIONS = 40
PARTICIPANT = ("participant_id", "background", "microbleeds", "voxel_mm")
FindBrain = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Background:
    """A scan on disk to plant into.

    Args:
        image: its path.
        mask: of its brain, ``<name>_mask.nii[.gz]`` beside it, if there is one.
        phase: its phase in radians, ``_phase`` for ``_mag``, or ``part-phase`` for ``part-mag``, if there is one.
    """

    image: Path
    mask: Path | None
    phase: Path | None


def find_backgrounds(folder: Path) -> list[Background]:
    """Return the scans in a folder and below it, in the order of their names: NIfTI files, BIDS or not.

    Raises:
        InputError: there are none.
    """
    paths = sorted(p for p in Path(folder).rglob("*.nii*") if p.is_file() and not p.name.startswith("."))
    scans = [p for p in paths if not NO_SCANS.search(p.name) and "derivatives" not in p.parts]
    if not scans:
        raise InputError(f"no scan to plant into in '{folder}': it holds no NIfTI image. Give a folder of scans.")
    return [Background(scan, _beside(scan, "mask"), _phase_of(scan)) for scan in scans]


def _beside(scan: Path, what: str) -> Path | None:
    stem = re.sub(r"\.nii(\.gz)?$", "", scan.name)
    stems = (stem, re.sub(r"_[A-Za-z0-9]+$", "", stem))
    names = (f"{name}_{what}{end}" for name in stems for end in (".nii.gz", ".nii"))
    return next((scan.with_name(name) for name in names if scan.with_name(name).is_file()), None)


def _phase_of(scan: Path) -> Path | None:
    for mine, other in (("part-mag", "part-phase"), ("_mag.", "_phase."), ("_swi.", "_phase.")):
        path = scan.with_name(scan.name.replace(mine, other))
        if path != scan and path.is_file():
            return path
    return None


def read_volume(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a NIfTI image as (H, W, D) float32 and its affine (4, 4); of a series, the last volume.

    Raises:
        InputError: the image is no volume, or its values are not finite.
    """
    image = cast(nib.Nifti1Image, nib.load(path))
    volume = np.asarray(image.dataobj, dtype=np.float32)
    volume = volume.reshape(*volume.shape[:3], -1)[..., -1] if volume.ndim >= 3 else volume
    if volume.ndim != 3 or min(volume.shape) < 3:
        raise InputError(f"cannot plant into '{path}': its shape is {image.shape}, it needs three slices or more.")
    if not np.isfinite(volume).all():
        raise InputError(f"cannot plant into '{path}': its voxels must be finite. Replace NaN and infinity.")
    return torch.from_numpy(volume.copy()), torch.from_numpy(image.affine)


def write_planted_cohort(
    folder: Path,
    out: Path,
    subjects: int,
    seed: int,
    *,
    find_brain: FindBrain,
    lesions: float = 6.0,
    mimics: int = 6,
    split: tuple[float, float, float] = (0.0, 0.5, 0.5),
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Plant microbleeds into the scans of a folder, and return the path of the cohort's ``datalist.json``.

    Scans are taken in turn; all subjects of one scan come into the same part of the data list. The layout is that of
    :func:`csvd.phantom.write_cohort`.

    Args:
        folder: scans, see :func:`find_backgrounds`.
        out: folder, made when missing.
        subjects: how many.
        seed: decides everything.
        find_brain: returns the mask (H, W, D) of a scan (H, W, D) and its affine, where no mask lies beside it.
        lesions: median number of a subject who has any; a quarter have none.
        mimics: of a subject.
        split: shares of training, validation and test.
        overwrite: replace what is in ``out``.
        progress: show a bar when run in a terminal.

    Raises:
        ValueError: no subject, ``lesions`` not positive, or the shares do not sum to 1.
        InputError: the folder holds no scan, or one that cannot be planted into.
        FileExistsError: ``out`` is a file, or holds something and ``overwrite`` is false.
    """
    check_positive("subjects", subjects)
    check_positive("lesions", lesions)
    check_split(split)
    backgrounds = find_backgrounds(folder)
    target = prepare_folder(out, overwrite)

    def work(index: int) -> dict[str, Any]:
        return _write_subject(backgrounds[index % len(backgrounds)], target, seed, index, find_brain, lesions, mimics)

    rows = simulate_each(work, subjects, 1, f"planting into {folder}", progress)
    write_table([{k: row[k] for k in PARTICIPANT} for row in rows], target / "participants.tsv", PARTICIPANT)
    groups = [rows[first :: len(backgrounds)] for first in range(min(subjects, len(backgrounds)))]
    items = [[_item(row) for row in group] for group in groups]
    about = f"{subjects} scans with planted microbleeds, from {len(groups)} real ones, seed {seed}. Research use only."
    return write_datalist(target / "datalist.json", items, split, seed, name=f"csvd-planted-{seed}", description=about)


def _write_subject(
    background: Background, out: Path, seed: int, index: int, find_brain: FindBrain, lesions: float, mimics: int
) -> dict[str, Any]:
    """Plant into one scan and write it; return its row of ``participants.tsv``, and whether it has a phase."""
    name = f"sub-{index + 1:03d}"
    rng = np.random.default_rng([seed, index])
    count = 0 if rng.random() < HEALTHY else int(np.clip(round(lesions * rng.lognormal(0, SPREAD)), 1, MOST_LESIONS))
    image, affine = read_volume(background.image)
    mask = find_brain(image, affine) if background.mask is None else read_volume(background.mask)[0] > 0
    if mask.shape != image.shape or not mask.any():
        raise InputError(
            f"cannot plant into '{background.image}': its brain mask has the shape {tuple(mask.shape)}, the image "
            f"{tuple(image.shape)}, and {int(mask.sum())} voxels. Give '<name>_mask.nii.gz' beside it."
        )
    phase = None if background.phase is None else read_volume(background.phase)[0]
    planted = plant_scan(
        image, mask > 0, affine, lesions=count, mimics=mimics, seed=int(rng.integers(2**31)), phase=phase
    )
    with atomic_folder(out / name, overwrite=True) as target:
        save_planted(planted, mask, affine, target, name)
    spacing = affine[:3, :3].norm(dim=0).tolist()
    return {
        "participant_id": name,
        "background": os.fspath(background.image.name),
        "microbleeds": len(planted.lesions),
        "voxel_mm": "x".join(f"{mm:.2f}" for mm in spacing),
        "phase": phase is not None,
        "slice_mm": max(spacing),
    }


def save_planted(planted: PlantedScan, mask: torch.Tensor, affine: torch.Tensor, folder: Path, name: str) -> None:
    """Write a planted scan, its truth and its mask as ``folder/name_*``."""
    scale = float(planted.image.abs().max().clamp(min=1e-12)) / 32000
    volumes = {"mag": (planted.image / scale, scale), "label": (planted.label, 1.0), "mimics": (planted.mimics, 1.0)}
    volumes["mask"] = (mask.to(torch.uint8), 1.0)
    if planted.phase is not None:
        volumes["phase"] = (planted.phase / 0.001, 0.001)
    for kind, (volume, unit) in volumes.items():
        stored = volume.round().to(torch.int16) if volume.is_floating_point() else volume
        write_nifti(stored, affine, folder / f"{name}_{kind}.nii.gz", unit)
    write_table(planted.lesions, folder / f"{name}_lesions.tsv", PLANTED_COLUMNS)


def _item(row: dict[str, Any]) -> dict[str, Any]:
    name = row["participant_id"]
    files = ("image", "mag"), ("label", "label"), ("mask", "mask"), *((("phase", "phase"),) if row["phase"] else ())
    return {
        **{key: f"{name}/{name}_{kind}.nii.gz" for key, kind in files},
        "subject": name,
        "preset": "planted",
        "contrast": "dark",
        "background": row["background"],
        "slice_mm": row["slice_mm"],
    }
