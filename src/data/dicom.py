"""DICOM series converted to NIfTI with dcm2niix, and the one scan among them that shows microbleeds best."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from ..checks import InputError
from ..sequences import CONTRASTS
from .sequence import sequence_of_tags

LONGEST_ECHO_MS = 50.0
"""Beyond this a gradient echo of the brain has little signal left."""
PARTS = ("phase", "complex")
"""Kinds of images that do not show tissue by itself, see :func:`image_kind`."""
ECHO_TOLERANCE_MS = 0.02
AFFINE_TOLERANCE_MM = 1e-2


@dataclass(frozen=True)
class Converted:
    """One image that dcm2niix made from DICOM files.

    Attributes:
        image: the NIfTI file.
        folder: the DICOM folder.
        kind: see :func:`image_kind`.
        gradient_echo: whether nothing says spin echo or diffusion.
        epi: whether it is echo planar.
        sequence: what its tags say, see :func:`csvd.data.sequence_of_tags`.
        swi: whether it is a susceptibility-weighted image.
        echo_ms: echo time, 0 when it is not known.
        slices: number of slices.
        series: number and description of its series, for example ``"4 'me_fMRI'"``.
        number: number of its series.
        warnings: what dcm2niix warned of while converting the files.
    """

    image: Path
    folder: Path
    kind: str = "magnitude"
    gradient_echo: bool = True
    epi: bool = False
    sequence: str | None = None
    swi: bool = False
    echo_ms: float = 0.0
    slices: int = 0
    series: str = ""
    number: int = 0
    warnings: tuple[str, ...] = ()


def is_dicom_folder(folder: Path) -> bool:
    """Return whether a file right inside ``folder`` is DICOM."""
    return any(is_dicom(path) for path in sorted(folder.iterdir()) if path.is_file())


def is_dicom(path: Path) -> bool:
    """Return whether a file carries the mark of DICOM part 10, ``DICM`` after 128 bytes."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def image_kind(types: Collection[str], description: str = "") -> str:
    """Return what an image shows: ``"magnitude"`` (also SWI), ``"phase"``, ``"complex"`` (real or imaginary part) or
    ``"derived"`` (maps and projections).

    Args:
        types: values of the DICOM tag ImageType, or of FrameType.
        description: that of the series.
    """
    words, description = {word.upper() for word in types}, description.upper()
    if words & {"P", "PHASE", "PHASE MAP", "PHASE_MAP"}:
        return "phase"
    if words & {"REAL", "IMAGINARY"}:
        return "complex"
    projection = words & {"MIP", "MNIP", "PROJECTION IMAGE"} or "MIP" in description
    swi = "SWI" in words or "SWI" in description
    return "derived" if projection or ("DERIVED" in words and not swi) else "magnitude"


def convert_dicom(folder: Path, workdir: Path, files: Sequence[Path] = ()) -> list[Converted]:
    """Convert DICOM files to NIfTI files in a new folder inside ``workdir``.

    Mosaics, enhanced multi-frame objects, mixed echoes and phase images become files of their own.

    Args:
        folder: where the files are, for error messages.
        workdir: the caller removes it.
        files: which ones; all right inside ``folder`` when none are given.

    Raises:
        InputError: dcm2niix is missing or failed, or found no image.
    """
    program = _dcm2niix()
    target = Path(tempfile.mkdtemp(dir=workdir))
    source = _linked(files, target / "files") if files else folder
    # No subfolders, no settings of the user, a sidecar without names, not compressed, named by series number.
    options = ["-d", "0", "-g", "i", "-b", "y", "-ba", "o", "-z", "n", "-f", "%s", "-o", str(target)]
    done = subprocess.run([program, *options, str(source)], capture_output=True, text=True, errors="replace")
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    # Without a sidecar it is a resampled copy of one that has it.
    images = sorted(path for path in target.glob("*.nii") if path.with_suffix(".json").exists())
    if done.returncode != 0 or not images:
        shutil.rmtree(target)
        said = "; ".join([line for line in lines if line.startswith(("Warning", "Error"))][-2:] or lines[-1:])
        raise InputError(
            f"DICOM folder '{folder}' cannot be converted, dcm2niix says: '{said}'. "
            "Give a folder with one whole image series."
        )
    warnings = tuple(line for line in lines if line.startswith("Warning"))
    return [_read_converted(image, folder, warnings) for image in images]


def _linked(files: Sequence[Path], folder: Path) -> Path:
    """Return a new folder with links to files, or with copies where there are no links."""
    folder.mkdir()
    for number, path in enumerate(files):
        link = folder / f"{number:05d}_{path.name}"  # files of two folders may have one name
        try:
            link.symlink_to(path.absolute())
        except OSError:
            shutil.copyfile(path, link)
    return folder


def _dcm2niix() -> str:
    package = find_spec("dcm2niix")
    program = shutil.which("dcm2niix", path=str(Path(package.origin).parent)) if package and package.origin else None
    if program is None:
        raise InputError(
            "DICOM cannot be converted: the Python package 'dcm2niix' or its program is missing. "
            "Install it with `pip install dcm2niix`, or convert the folder to NIfTI yourself."
        )
    return program


def _read_converted(image: Path, folder: Path, warnings: tuple[str, ...]) -> Converted:
    """Translate the sidecar (BIDS names; seconds) beside ``image``."""
    sidecar = json.loads(image.with_suffix(".json").read_text(encoding="utf-8", errors="replace"))
    types = {str(word).upper() for word in sidecar.get("ImageType", [])}
    description = str(sidecar.get("SeriesDescription", ""))
    sequence = f"{sidecar.get('ScanningSequence', '')} {sidecar.get('SequenceName', '')}".upper()
    return Converted(
        image=image,
        folder=folder,
        kind=image_kind(types, description),
        gradient_echo="SE" not in sequence and "DIFFUSION" not in types,
        epi="EP" in sequence,
        sequence=sequence_of_tags(sidecar),
        swi="SWI" in types or "SWI" in description.upper(),
        echo_ms=1000 * float(sidecar.get("EchoTime", 0)),
        slices=nib.Nifti1Image.from_filename(image).shape[2],
        series=f"{sidecar.get('SeriesNumber', '?')} '{description}'",
        number=int(sidecar.get("SeriesNumber", 0)),
        warnings=warnings,
    )


def choose_scan(scans: Sequence[Converted]) -> tuple[Converted, str]:
    """Choose the image in which microbleeds are darkest, and say which it is in one sentence.

    Magnitude goes before derived maps, gradient before spin echoes, tags of a sequence that the detector takes before
    none and these before others, susceptibility-weighted before plain images, others before echo planar ones; then
    the longest echo up to 50 ms (the shortest when all are longer), then the most slices.

    Raises:
        InputError: all images are phase, real or imaginary.
    """
    candidates = [scan for scan in scans if scan.kind not in PARTS]
    if not candidates:
        raise InputError(
            f"DICOM folder '{scans[0].folder}' must hold a magnitude image, its {len(scans)} images are all phase. "
            "Give the series of the magnitude."
        )
    best = max(candidates, key=_suitability)
    echoes = sorted({scan.echo_ms for scan in candidates if scan.series == best.series and scan.kind == best.kind})
    time = f"{best.echo_ms:.3g} ms" if best.echo_ms else "unknown"
    return best, (
        f"echo {echoes.index(best.echo_ms) + 1} of {len(echoes)} (TE {time}) of series {best.series}, {best.kind}"
        + ("" if best.gradient_echo else ", not a gradient echo")
        + (f", chosen from {len(scans)} images" if len(scans) > 1 else "")
    )


def _suitability(scan: Converted) -> tuple[float, ...]:
    fit = 2 if scan.sequence in CONTRASTS else scan.sequence is None
    usable = scan.echo_ms <= LONGEST_ECHO_MS
    echo = scan.echo_ms if usable else -scan.echo_ms
    return scan.kind == "magnitude", scan.gradient_echo, fit, scan.swi, not scan.epi, usable, echo, scan.slices


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
    return min(phases, key=lambda scan: abs(scan.number - best.number), default=None)


def _same_grid(image: nib.Nifti1Image, other: nib.Nifti1Image) -> bool:
    return image.shape == other.shape and np.allclose(image.affine, other.affine, atol=AFFINE_TOLERANCE_MM)
