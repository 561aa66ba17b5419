"""DICOM folders: converted to NIfTI with dcm2niix, and the one scan in them that shows microbleeds best."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib

from ..checks import InputError

LONGEST_ECHO_MS = 50.0
"""Beyond this a gradient echo of the brain has little signal left."""


@dataclass(frozen=True)
class Converted:
    """One image that dcm2niix made from a DICOM folder.

    Attributes:
        image: the NIfTI file.
        folder: the DICOM folder.
        kind: ``"magnitude"``, ``"phase"`` (also real and imaginary) or ``"derived"`` (maps and projections; not SWI).
        gradient_echo: whether nothing says spin echo or diffusion.
        swi: whether it is a susceptibility-weighted image.
        echo_ms: echo time, 0 when it is not known.
        slices: number of slices.
        series: number and description of its series, for example ``"4 'me_fMRI'"``.
        study: unique identifier of its study.
        warnings: what dcm2niix warned of while converting the folder.
    """

    image: Path
    folder: Path
    kind: str = "magnitude"
    gradient_echo: bool = True
    swi: bool = False
    echo_ms: float = 0.0
    slices: int = 0
    series: str = ""
    study: str = ""
    warnings: tuple[str, ...] = ()


def is_dicom_folder(folder: Path) -> bool:
    """Return whether a file right inside ``folder`` carries the mark of DICOM part 10, ``DICM`` after 128 bytes."""
    return any(_is_dicom(path) for path in sorted(folder.iterdir()) if path.is_file())


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def convert_dicom(folder: Path, workdir: Path) -> list[Converted]:
    """Convert the DICOM files right inside ``folder`` to NIfTI files in a new folder inside ``workdir``.

    Mosaics, enhanced multi-frame objects, mixed echoes and phase images become files of their own.

    Raises:
        InputError: dcm2niix is missing or failed, or found no image.
    """
    program = _dcm2niix()
    target = Path(tempfile.mkdtemp(dir=workdir))
    # No subfolders, no settings of the user, a sidecar without names, not compressed, named by series number.
    options = ["-d", "0", "-g", "i", "-b", "y", "-ba", "o", "-z", "n", "-f", "%s", "-o", str(target)]
    done = subprocess.run([program, *options, str(folder)], capture_output=True, text=True, errors="replace")
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
    swi = "SWI" in types or "SWI" in description.upper()
    projection = bool(types & {"MIP", "MNIP", "PROJECTION IMAGE"}) or "MIP" in description.upper()
    if types & {"P", "PHASE", "REAL", "IMAGINARY"}:
        kind = "phase"
    elif projection or ("DERIVED" in types and not swi):
        kind = "derived"
    else:
        kind = "magnitude"
    return Converted(
        image=image,
        folder=folder,
        kind=kind,
        gradient_echo="SE" not in sequence and "DIFFUSION" not in types,
        swi=swi,
        echo_ms=1000 * float(sidecar.get("EchoTime", 0)),
        slices=nib.Nifti1Image.from_filename(image).shape[2],
        series=f"{sidecar.get('SeriesNumber', '?')} '{description}'",
        study=str(sidecar.get("StudyInstanceUID", "")),
        warnings=warnings,
    )


def choose_scan(scans: list[Converted]) -> tuple[Converted, str]:
    """Choose the image in which microbleeds are darkest, and say which it is in one sentence.

    Magnitude goes before derived maps, gradient before spin echoes, susceptibility-weighted before plain images; then
    the longest echo up to 50 ms (the shortest when all are longer), then the most slices.

    Raises:
        InputError: all images are phase, real or imaginary, or they come from more than one study.
    """
    name = f"DICOM folder '{scans[0].folder}'"
    studies = len({scan.study for scan in scans})
    if studies > 1:
        raise InputError(f"{name} must hold one study, it holds {studies}. Give each its own folder.")
    candidates = [scan for scan in scans if scan.kind != "phase"]
    if not candidates:
        raise InputError(
            f"{name} must hold a magnitude image, its {len(scans)} images are all phase. "
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


def _suitability(scan: Converted) -> tuple[bool, bool, bool, bool, float, int]:
    usable = scan.echo_ms <= LONGEST_ECHO_MS
    echo = scan.echo_ms if usable else -scan.echo_ms
    return scan.kind == "magnitude", scan.gradient_echo, scan.swi, usable, echo, scan.slices
