"""The images of a DICOM folder, and the one scan among them that shows microbleeds best."""

from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path

import nibabel as nib
import numpy as np

from ...checks import InputError
from ...sequences import SUITABLE
from .conversion import Converted, convert_all
from .files import is_dicom
from .image_kinds import PARTS
from .series import sort_series
from .stacks import ECHO_TOLERANCE_MS

LONGEST_ECHO_MS = 50.0
"""Beyond this a gradient echo of the brain has little signal left."""
AFFINE_TOLERANCE_MM = 1e-2


def convert_dicom(folder: Path, workdir: Path) -> list[Converted]:
    """Convert the DICOM files right inside a folder to NIfTI files in new folders inside ``workdir``.

    Args:
        folder: of DICOM files.
        workdir: the caller removes it.

    Raises:
        InputError: there are none, or no series can be converted.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(path)]
    scans, failed = convert_all(sort_series(files)[0], workdir)
    if not scans and failed:
        raise failed[0].error
    if not scans:
        raise InputError(f"folder '{folder}' must hold DICOM images, it holds none that can be read. Check the path.")
    return scans


def choose_scan(scans: Sequence[Converted]) -> tuple[Converted, str]:
    """Choose the image in which microbleeds are darkest, and say which it is in one sentence.

    Originals go before projections and other derived images, unless no original may show microbleeds; gradient before
    spin echoes, tags of a sequence that the detector takes before none and these before others, susceptibility-weighted
    before plain images, others before echo planar ones, what no tag calls derived before the rest; then the longest
    echo up to 50 ms (the shortest when all are longer), slices that do not overlap, and the most slices.

    Raises:
        InputError: all images are phase, real or imaginary.
    """
    candidates = [scan for scan in scans if scan.kind not in PARTS]
    if not candidates:
        folder = commonpath([scan.folder for scan in scans])
        raise InputError(
            f"DICOM folder '{folder}' must hold a magnitude image, its {len(scans)} images are all phase. "
            "Give the series of the magnitude."
        )
    best = max(candidates, key=suitability)
    echoes = sorted({scan.echo_ms for scan in candidates if scan.series == best.series and scan.kind == best.kind})
    time = f"{best.echo_ms:.3g} ms" if best.echo_ms else "unknown"
    return best, (
        f"echo {echoes.index(best.echo_ms) + 1} of {len(echoes)} (TE {time}) of series {best.series}, {best.kind}"
        + ("" if best.gradient_echo else ", not a gradient echo")
        + (f", chosen from {len(scans)} images" if len(scans) > 1 else "")
    )


def suitability(scan: Converted) -> tuple[float, ...]:
    """Return the key by which :func:`choose_scan` sorts."""
    fit = 2 if scan.sequence in SUITABLE else int(scan.sequence is None)
    original = scan.kind == "magnitude"
    rank = 2 if original and fit else int(fit == 2)
    usable = scan.echo_ms <= LONGEST_ECHO_MS
    echo = scan.echo_ms if usable else -scan.echo_ms
    last = (not scan.derived, usable, echo, not scan.overlapping, scan.slices)
    return rank, original, scan.gradient_echo, fit, scan.swi, not scan.epi, *last


def choose_phase(scans: Sequence[Converted], best: Converted) -> Converted | None:
    """Return the phase image of an image: same grid, same echo, and the nearest series number; None without one."""
    image = nib.Nifti1Image.from_filename(best.image)
    phases = [
        scan
        for scan in scans
        if scan.kind == "phase"
        and abs(scan.echo_ms - best.echo_ms) < ECHO_TOLERANCE_MS
        and _same_grid(nib.Nifti1Image.from_filename(scan.image), image)
    ]
    return min(phases, key=lambda scan: abs((scan.number or 0) - (best.number or 0)), default=None)


def _same_grid(image: nib.Nifti1Image, other: nib.Nifti1Image) -> bool:
    return image.shape == other.shape and np.allclose(image.affine, other.affine, atol=AFFINE_TOLERANCE_MM)
