"""Phase images and QSM from files, in the units and on the grid that they have to have."""

import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import ImageMetaKey

from ...checks import InputError, corners_apart
from ...io.nifti import load_nifti

KINDS = ("phase", "qsm")
QSM_NAMES = ("qsm", "chi", "chimap")  # last words, after an underscore, of the names of susceptibility maps
CIRCLES = {
    2 * math.pi: "radians",
    1.0: "turns",
    2.0: "-1..1, times pi",
    360.0: "degrees",
    256.0: "8 bits",
    1000.0: "-500..496",
    4096.0: "12 bits",
    2000 * math.pi: "milliradians",
    8192.0: "-4096..4094",
    65536.0: "16 bits",
}
"""What scanners and converters store for one turn."""

WIDEST = (4096.0, 2000 * math.pi, 8192.0)  # taken in this order for phase without wraps, whose unit matters little
RADIANS = 2 * math.pi + 0.01
NEAR, NEARER, ABOVE = 0.95, 0.98, 1.002  # share of its circle that phase fills, where it wraps and where it does much
FAR = 0.75  # of the range: neighbours that differ by more lie on two sides of a wrap, or in noise
HALFWAY, STRAY = (0.4, 0.6), 1e-3  # of the range, and of the voxels: see :func:`_range_and_wraps`
WRAPPED, WELL_WRAPPED = 1e-4, 1e-3  # of the neighbours; next to strong lesions alone it is 1e-5
FILL = 0.05  # of the voxels: a value that so many have is what a mask put outside of the head
PADDING, EMPTY = 1e-3, 0.1  # of the voxels and of the range: the same where that many lie beyond such a gap
LEVELS = 16  # of the values in that range, below which its steps look like wraps
SAMPLE = 1_000_000  # voxels in which fill is looked for


def load_phase(path: str | None, scan: MetaTensor) -> tuple[torch.Tensor, str, str]:
    """Return a phase image in radians or QSM, (1, H, W, D) float32, which of the two it is, and the file's name.

    A file whose name ends in ``_qsm``, ``_chi`` or BIDS's ``_Chimap`` is QSM. The unit of phase is found out, see
    :func:`full_circle`, with what ``Units`` of the JSON file beside it says.

    Args:
        path: of the file; ``None`` takes the scan's own for QSM.
        scan: anything on the grid of the scan, whose meta data names its file and, of a 4-D one, the volume.

    Raises:
        InputError: the file cannot be read, is not real, is not on the scan's grid, is not finite or is constant, or
            its unit cannot be told.
    """
    own = str(scan.meta[ImageMetaKey.FILENAME_OR_OBJ])
    file = Path(own if path is None else path)
    stem = file.name.lower().removesuffix(".gz").removesuffix(".nii")
    kind = "qsm" if path is None or stem.rpartition("_")[2] in QSM_NAMES else "phase"
    name = f"{kind} '{file}'"
    try:
        image = load_nifti(file, kind)
        _check_grid(name, image, scan, own)
        values = np.array(image.dataobj[_volume(image, scan)], dtype=np.float32)  # a copy: the file's may be read-only
    except (nib.filebasedimages.ImageFileError, EOFError, OSError, TypeError) as error:
        raise InputError(f"{name} cannot be read ({error}): convert it to NIfTI again.") from None
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"{name} must be finite everywhere, {bad} voxels are NaN or infinite. Replace them by 0.")
    if values.min() == values.max():
        raise InputError(f"{name} must not be constant, all its voxels are {values.flat[0]:g}. Give another file.")
    if kind == "phase":
        circle = full_circle(values, name, in_radians=_says_radians(file))
        values = values if circle == 2 * math.pi else values * np.float32(2 * math.pi / circle)
    return torch.from_numpy(values)[None], kind, file.name


def full_circle(phase: np.ndarray, name: str = "phase", in_radians: bool = False) -> float:
    """Return what one turn is in the unit of a phase image.

    Wrapped phase has neighbours that lie almost its range apart; that range is the circle, and one of :data:`CIRCLES`
    where it comes near. Phase that is not wrapped (filtered, unwrapped) shows no circle, but its signs do not depend on
    one either, as long as it is not too small: values within 2 pi are radians, others are taken as the first of 4096,
    2000 pi and 8192 that holds their range, or as the range.

    Args:
        phase: (H, W, D), any unit and offset.
        name: for the message.
        in_radians: whether its sidecar says so, which counts unless it is wrapped at the circle of another unit.

    Raises:
        InputError: it is wrapped here and there, at no circle that scanners store.
    """
    low, high, share, jumps = _range_and_wraps(phase)
    span, most, least = high - low, max(abs(low), abs(high)), NEAR if share < WELL_WRAPPED else NEARER
    if most <= RADIANS and span > NEAR * 2 * math.pi:
        return 2 * math.pi
    near = [circle for circle in CIRCLES if least <= span / circle <= ABOVE] if share >= WRAPPED else []
    if near:
        return near[0]
    if in_radians and (span > RADIANS or share < WRAPPED):
        return 2 * math.pi
    if share >= WELL_WRAPPED:
        return span
    if share >= WRAPPED or jumps:
        raise InputError(
            f"{name} must be in a known unit, its values go from {low:.4g} to {high:.4g} and jump like wrapped phase, "
            f"but one turn is none of {', '.join(CIRCLES.values())}. Convert it to radians."
        )
    if np.abs(phase).max() <= RADIANS:
        return 2 * math.pi
    span = float(phase.max()) - float(phase.min())
    return next((full for full in WIDEST if span <= full), span)


def _range_and_wraps(phase: np.ndarray) -> tuple[float, float, float, bool]:
    """Return lowest and highest phase, without fill, and what neighbours say of wraps.

    That is the share of them that lie almost the range apart, and whether more lie that far apart than half as far, in
    the range of all but the last of the voxels: a stray voxel must not hide wraps.
    """
    real = ~np.isin(phase, _fill(phase))
    inside = phase[real]
    low, high = float(inside.min(initial=np.inf)), float(inside.max(initial=-np.inf))
    sample = _sample(inside)
    most = float(np.subtract(*np.quantile(sample, (1 - STRAY, STRAY)))) if len(sample) else 0.0
    step = np.diff(np.unique(sample)).min(initial=np.inf)  # of coarse values neighbours differ by nothing or by much
    far = pairs = distant = halfway = 0
    for axis in range(3):
        values, there = np.moveaxis(phase, axis, 0), np.moveaxis(real, axis, 0)
        apart = np.abs(values[1:] - values[:-1])[there[1:] & there[:-1]]
        pairs += len(apart)
        far += int((apart > FAR * (high - low)).sum())
        distant += int((apart > FAR * most).sum())
        halfway += int(((apart > HALFWAY[0] * most) & (apart < HALFWAY[1] * most)).sum())
    jumps = most > LEVELS * step and distant > max(halfway, WRAPPED * pairs)
    return low, high, far / max(pairs, 1), bool(jumps)


def _sample(values: np.ndarray) -> np.ndarray:
    return values.ravel()[:: max(1, -(-values.size // SAMPLE))]


def _fill(phase: np.ndarray) -> list[float]:
    """Return the values that a mask put outside of the head: many voxels have them, or lie far from all others."""
    sample = _sample(phase)
    values, counts = np.unique(sample, return_counts=True)
    shares, gaps = counts / sample.size, np.diff(values) > EMPTY * (values[-1] - values[0])
    fill = values[(shares > FILL) & (shares == shares.max())].tolist()
    ends = ((0, gaps[0]), (-1, gaps[-1])) if len(gaps) > 1 else ()
    return fill + [float(values[end]) for end, lonely in ends if lonely and shares[end] > PADDING]


def _says_radians(file: Path) -> bool:
    """Return whether the JSON file beside a phase image says that its unit is ``rad``, as BIDS has it."""
    sidecar = file.with_name(f"{file.name.removesuffix('.gz').removesuffix('.nii')}.json")
    try:
        tags = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False  # without it the unit is found all the same
    return isinstance(tags, dict) and str(tags.get("Units")).lower() in ("rad", "radian", "radians")


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
