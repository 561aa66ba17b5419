"""A cohort of simulated subjects on disk: NIfTI files, lesion tables and a data list for training."""

import gzip
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import torch
from tqdm import tqdm

from ..checks import check_one_of, check_positive
from ..io.files import atomic_folder
from ..io.splits import check_split, write_datalist
from ..io.tables import write_table
from ..processes import end_with_parent
from .blobs import MIMICS
from .protocols import PROTOCOLS, Protocol
from .subject import Subject, simulate_subject

TRUTH_COLUMNS = ("id", "x_mm", "y_mm", "z_mm", "radius_mm", "chi_ppm", "region", "side", "mars")
Row = TypeVar("Row")
SCALE = {"swi": 1.0, "mag": 1.0, "phase": 0.001, "qsm": 0.001}  # unit of one stored integer


def write_cohort(
    preset: str,
    subjects: int,
    out: Path,
    seed: int,
    *,
    jobs: int | None = None,
    head: bool = False,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    overwrite: bool = False,
    phenotype: str | None = None,
    lesions: float | None = None,
    mimics: float | None = None,
    progress: bool = True,
) -> Path:
    """Simulate a cohort and return the path of its ``datalist.json``.

    Subject k is the same whatever the number of subjects or processes, and its files are the same bytes.

    Args:
        preset: key of :data:`csvd.phantom.PROTOCOLS`.
        subjects: how many.
        out: folder, made when missing.
        seed: decides everything.
        jobs: processes; all cores when not given.
        head: with skull and scalp.
        split: shares of training, validation and test.
        overwrite: replace the lists and those subjects that are already in ``out``.
        phenotype: of all subjects; a mix when not given.
        lesions: median number of microbleeds of a subject who has any; that of the protocol when not given.
        mimics: how many times as many mimics as people have; that of the protocol when not given.
        progress: show a bar when run in a terminal.

    Raises:
        ValueError: no such preset, no subject, ``lesions`` or ``mimics`` not positive, or the shares do not sum to 1.
        FileExistsError: ``out`` is a file, or holds something and ``overwrite`` is false.
    """
    check_one_of("preset", preset, PROTOCOLS)
    check_positive("subjects", subjects)
    check_split(split)
    protocol = PROTOCOLS[preset]
    protocol = replace(
        protocol,
        lesions=protocol.lesions if lesions is None else lesions,
        mimics=protocol.mimics if mimics is None else mimics,
    )
    work = partial(_write_subject, protocol, prepare_folder(out, overwrite), seed, head, phenotype)
    rows = simulate_each(work, subjects, jobs, f"simulating {preset}", progress)
    return _write_lists(preset, rows, out, seed, split)


def prepare_folder(out: Path, overwrite: bool) -> Path:
    """Make the folder of a cohort.

    Raises:
        FileExistsError: ``out`` is a file, or holds something and ``overwrite`` is false.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise FileExistsError(
            f"cannot write a cohort to '{out}': it is not an empty folder. Choose another or overwrite it."
        )
    out.mkdir(parents=True, exist_ok=True)
    return out


def simulate_each(
    work: Callable[[int], Row], subjects: int, jobs: int | None, title: str, progress: bool = True
) -> list[Row]:
    """Return ``work`` of each subject's number, done in processes, all cores when ``jobs`` is not given."""
    jobs = min(jobs or _cores(), subjects)
    bar = partial(tqdm, total=subjects, desc=title, disable=None if progress else True)
    if jobs == 1:
        return list(bar(map(work, range(subjects))))
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), end_with_parent) as pool:
        return list(bar(pool.map(work, range(subjects))))


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_subject(
    protocol: Protocol, out: Path, seed: int, head: bool, phenotype: str | None, index: int
) -> dict[str, Any]:
    """Simulate and write subject ``index``; return its row of ``participants.tsv``."""
    name = f"sub-{index + 1:03d}"
    subject = simulate_subject(protocol, seed, index, phenotype=phenotype, head=head)
    with atomic_folder(out / name, overwrite=True) as folder:
        save_subject(subject, folder, name)
    return {
        "participant_id": name,
        "age": subject.age,
        "sex": subject.sex,
        "csvd": subject.csvd,
        "microbleeds": len(subject.lesions),
        "b0_tesla": round(subject.protocol.b0_tesla, 2),
        "te_ms": round(subject.protocol.te_ms, 1),
        "voxel_mm": "x".join(f"{h:.2f}" for h in subject.protocol.voxel_mm),
        "haemorrhage": int((subject.mimics == MIMICS["haemorrhage"]).any()),
    }


def save_subject(subject: Subject, folder: Path, name: str) -> None:
    """Write the volumes and the lesion table of a subject as ``folder/name_*``."""
    for kind, image in subject.images.items():
        stored = (image / SCALE[kind]).round().clamp(-32768, 32767).to(torch.int16)
        write_nifti(stored, subject.affine, folder / f"{name}_{kind}.nii.gz", SCALE[kind])
    for kind in ("mask", "label", "vessels", "mimics"):
        write_nifti(getattr(subject, kind), subject.affine, folder / f"{name}_{kind}.nii.gz")
    write_table(subject.lesions, folder / f"{name}_lesions.tsv", TRUTH_COLUMNS)


def write_nifti(volume: torch.Tensor, affine: torch.Tensor, path: Path, scale: float = 1.0) -> None:
    """Write a volume, whose integers count units of ``scale``; the same volume gives the same bytes."""
    image = nib.Nifti1Image(volume.numpy(), affine.numpy())
    image.header.set_slope_inter(scale, 0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"simulated by csvd"
    # No time and no file name in the gzip header: same seed, same bytes.
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        packed.write(image.to_bytes())


def _write_lists(
    preset: str, rows: list[dict[str, Any]], out: Path, seed: int, split: tuple[float, float, float]
) -> Path:
    """Write ``participants.tsv`` and ``datalist.json``."""
    write_table(rows, out / "participants.tsv")
    about = f"simulated cohort: preset {preset}, {len(rows)} subjects, seed {seed}. Research use only."
    subjects = [_items(preset, row) for row in rows]
    return write_datalist(out / "datalist.json", subjects, split, seed, name=f"csvd-{preset}-{seed}", description=about)


def _items(preset: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data list items of one subject, one per main contrast."""
    name = row["participant_id"]
    return [
        {
            "image": f"{name}/{name}_{kind}.nii.gz",
            "label": f"{name}/{name}_label.nii.gz",
            "mask": f"{name}/{name}_mask.nii.gz",
            "phase": f"{name}/{name}_phase.nii.gz",
            "subject": name,
            "preset": preset,
            "contrast": "bright" if kind == "qsm" else "dark",
            "age": row["age"],
            "sex": row["sex"],
            "csvd": row["csvd"],
            "b0_tesla": row["b0_tesla"],
            "slice_mm": float(row["voxel_mm"].split("x")[2]),
            "haemorrhage": row["haemorrhage"],
        }
        for kind in PROTOCOLS[preset].contrasts
    ]
