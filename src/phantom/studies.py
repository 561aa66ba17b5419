"""Studies on disk: one series of each sequence, with which the sequence gate is trained."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ..checks import check_positive
from ..io.files import atomic_folder
from ..io.splits import check_split, write_datalist
from .cohort import SCALE, prepare_folder, simulate_each, write_nifti
from .contrasts import RECIPES, Series, simulate_series
from .fields import coil_shading
from .grid import SKIN_MM
from .head_model import SCALP_MM
from .protocols import PROTOCOLS
from .subject import Subject, simulate_subject

GRADIENT_ECHO = {"swi": "SWI", "mag": "T2*-GRE", "phase": "phase", "qsm": "QSM"}
MAGNITUDES = ("swi", "mag")
PRESETS = ("random", "ukbb", "random", "oxvasc", "random", "tich2", "random", "ccm3t")
STRIPPED = 0.4


def simulate_study(seed: int, index: int = 0) -> list[Series]:
    """Simulate study ``index`` of a cohort: the images of a susceptibility scan, and a series of each other kind.

    Each kind shows a head of its own; the result depends on the arguments alone.
    """
    scan = simulate_subject(PROTOCOLS[PRESETS[index % len(PRESETS)]], seed, index, head=True)
    rng = np.random.default_rng([seed, index])
    shades = coil_shading(rng, scan.mask.shape) * _scalp_shade(scan, rng)
    gradient = []
    for kind, image in scan.images.items():
        seen = image * shades if kind in MAGNITUDES else image
        seen = seen * scan.mask if rng.random() < STRIPPED else seen
        gradient.append(Series(GRADIENT_ECHO[kind], kind, seen, scan.affine))
    return gradient + [simulate_series(kind, seed, index) for kind in RECIPES]


def _scalp_shade(scan: Subject, rng: np.random.Generator) -> torch.Tensor:
    """Return by how much the scalp is brighter than the simulator makes it: fat is suppressed or not, thin or thick."""
    spacing = np.linalg.norm(scan.affine[:3, :3].numpy(), axis=0)
    outside_mm = torch.from_numpy(distance_transform_edt(scan.mask.numpy() == 0, sampling=spacing)).float()
    shade = torch.ones_like(outside_mm)
    scalp = (outside_mm > SCALP_MM) & (outside_mm < SKIN_MM)
    shade[scalp] = float(rng.uniform(0.1, 1.5))
    shade[scalp & (outside_mm > float(rng.uniform(SCALP_MM + 2, SKIN_MM)))] = 0.1
    return shade


def write_studies(
    subjects: int,
    out: Path,
    seed: int,
    *,
    jobs: int | None = None,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Simulate studies and return the path of their ``datalist.json``, whose items name ``sequence`` and ``kind``.

    Args:
        subjects, out, seed, jobs, split, overwrite, progress: see :func:`csvd.phantom.write_cohort`.

    Raises:
        ValueError: no subject, or the shares do not sum to 1.
        FileExistsError: ``out`` is a file, or holds something and ``overwrite`` is false.
    """
    check_positive("subjects", subjects)
    check_split(split)
    out = prepare_folder(out, overwrite)
    items = simulate_each(partial(_write_study, out, seed), subjects, jobs, "simulating studies", progress)
    about = f"simulated studies: {subjects}, seed {seed}. Research use only."
    return write_datalist(out / "datalist.json", items, split, seed, name=f"csvd-study-{seed}", description=about)


def _write_study(out: Path, seed: int, index: int) -> list[dict[str, str]]:
    """Simulate and write study ``index``; return its items of the data list."""
    name = f"sub-{index + 1:03d}"
    items = []
    with atomic_folder(out / name, overwrite=True) as folder:
        for series in simulate_study(seed, index):
            file = f"{name}_{series.kind.replace(' ', '-')}.nii.gz"
            save_series(series, folder / file)
            items.append({"image": f"{name}/{file}", "sequence": series.sequence, "kind": series.kind, "subject": name})
    return items


def save_series(series: Series, path: Path) -> None:
    """Write a series as NIfTI, int16: with the unit of its kind, or up to 4095."""
    unit = SCALE.get(series.kind) or float(series.image.abs().max()) / 4095
    stored = (series.image / unit).round().clamp(-32768, 32767).to(torch.int16)
    write_nifti(stored, series.affine, path, unit)
