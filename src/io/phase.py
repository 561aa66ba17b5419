"""Phase images beside scans, as BIDS, dcm2niix and simulated cohorts name them."""

import os
from pathlib import Path

import nibabel as nib

from ..checks import InputError, corners_apart
from .nifti import load_nifti


def find_phase(image: str | os.PathLike[str]) -> Path | None:
    """Return the phase image that lies beside a scan and is named after it, or ``None``.

    ``_part-mag`` becomes ``_part-phase``, which is put before the last word where BIDS leaves the part out; ``_swi``
    and ``_mag`` at the end become ``_phase``, as in simulated cohorts; dcm2niix and others add ``_ph`` or ``_phase``.

    Args:
        image: ``.nii`` or ``.nii.gz``; its phase may be either.
    """
    image = Path(image)
    stem = image.name[: image.name.lower().rfind(".nii")]
    start, _, last = stem.rpartition("_")
    names = [f"{stem}_ph", f"{stem}_phase"]
    if "_part-mag" in stem:
        names.insert(0, stem.replace("_part-mag", "_part-phase"))
    elif start and "_part-" not in stem:
        names.insert(0, f"{start}_part-phase_{last}")
    if start and last.lower() in ("swi", "mag"):
        names.insert(0, f"{start}_phase")
    paths = (image.with_name(name + ending) for name in names for ending in (".nii.gz", ".nii"))
    return next((path for path in paths if path.is_file() or path.is_symlink()), None)


def phase_beside(image: str | os.PathLike[str]) -> tuple[Path | None, list[str]]:
    """Return :func:`find_phase` of a scan, unless it is not on the scan's grid: then a sentence that warns of it.

    A phase image that cannot be read, such as a link to nothing, is returned: why it is not used is said by name where
    it is needed.
    """
    phase = find_phase(image)
    scan = _loaded(image) if phase else None
    if phase is None or scan is None:
        return None, []  # a scan that cannot be read is refused where it is checked
    other = _loaded(phase)
    if other is None:
        return phase, []
    if scan.shape[:3] != other.shape[:3] or corners_apart(scan.affine, other.affine, scan.shape[:3]):
        return None, [f"'{phase.name}' beside it is not on its grid, and was not used as its phase"]
    return phase, []


def _loaded(path: str | os.PathLike[str]) -> nib.Nifti1Image | None:
    try:
        return load_nifti(path)
    except InputError:
        return None
