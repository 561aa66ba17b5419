"""Phase images and QSM from files, in the units and on the grid that they have to have."""

import math
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import ImageMetaKey

from ..checks import InputError, corners_apart

KINDS = ("phase", "qsm")
QSM_NAMES = ("qsm", "chi", "chimap")  # last words, after an underscore, of the names of susceptibility maps
FULL_CIRCLES = (4096, 2000 * math.pi, 8192)  # 12 bits, milliradians, -4096..4095
RADIANS = 2 * math.pi + 0.01


def load_phase(path: str | None, scan: MetaTensor) -> tuple[torch.Tensor, str, str]:
    """Return a phase image in radians or QSM, (1, H, W, D) float32, which of the two it is, and the file's name.

    A file whose name ends in ``_qsm``, ``_chi`` or BIDS's ``_Chimap`` is QSM. Phase that goes beyond 2 pi is in
    scanner units, see :func:`to_radians`.

    Args:
        path: of the file; ``None`` takes the scan's own for QSM.
        scan: anything on the grid of the scan, whose meta data names its file and, of a 4-D one, the volume.

    Raises:
        InputError: the file cannot be read, is not real, is not on the scan's grid, or is not finite or constant.
    """
    own = str(scan.meta[ImageMetaKey.FILENAME_OR_OBJ])
    file = Path(own if path is None else path)
    stem = file.name.lower().removesuffix(".gz").removesuffix(".nii")
    kind = "qsm" if path is None or stem.rpartition("_")[2] in QSM_NAMES else "phase"
    name = f"{kind} '{file}'"
    if not file.is_file():
        raise InputError(f"{name} does not exist: check the path.")
    try:
        image = cast(nib.Nifti1Image, nib.load(file))
        _check_grid(name, image, scan, own)
        values = np.array(image.dataobj[_volume(image, scan)], dtype=np.float32)  # a copy: the file's may be read-only
    except (nib.filebasedimages.ImageFileError, EOFError, OSError, TypeError) as error:
        raise InputError(f"{name} cannot be read ({error}): convert it to NIfTI again.") from None
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"{name} must be finite everywhere, {bad} voxels are NaN or infinite. Replace them by 0.")
    if values.min() == values.max():
        raise InputError(f"{name} must not be constant, all its voxels are {values.flat[0]:g}. Give another file.")
    return torch.from_numpy(values if kind == "qsm" else to_radians(values))[None], kind, file.name


def to_radians(phase: np.ndarray) -> np.ndarray:
    """Return phase in radians, up to a constant, whatever unit it has.

    Values within 2 pi are radians. Of others, a circle is what vendors store as one and what holds their range: 4096
    (0..4095), 2000 pi (milliradians) or 8192 (-4096..4095); beyond that, the range itself.
    """
    if np.abs(phase).max() <= RADIANS:
        return phase
    span = float(phase.max()) - float(phase.min())
    circle = next((full for full in FULL_CIRCLES if span <= full), span)
    return phase * np.float32(2 * math.pi / circle)


def _volume(image: nib.Nifti1Image, scan: MetaTensor) -> tuple:
    """Return the index of the volume that belongs to that of the scan; a file of one volume serves all."""
    if len(image.shape) == 3:
        return ()
    return (..., int(scan.meta.get("volume", {}).get("index", 0)) if math.prod(image.shape[3:]) > 1 else 0)


def _check_grid(name: str, image: nib.Nifti1Image, scan: MetaTensor, own: str) -> None:
    shape, affine = tuple(scan.shape[1:]), scan.affine.numpy(force=True)
    volume = _volume(image, scan)
    if image.shape[:3] != shape or len(image.shape) > 4 or (volume and volume[1] >= image.shape[3]):
        raise InputError(
            f"{name} must have the shape of its scan '{own}', it is {image.shape}, not {shape}. Resample it."
        )
    shift = corners_apart(affine, image.affine, shape)
    if shift:
        raise InputError(
            f"{name} must have the affine of its scan '{own}', their corners lie {shift:.3g} mm apart. Resample it."
        )
