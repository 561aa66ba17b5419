"""DICOM series converted to NIfTI, and what their tags say of the images."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib

from ...checks import InputError
from ..sequence import sequence_of_tags
from .dcm2niix import about_geometry, run_dcm2niix
from .files import numbers_of, values_of
from .image_kinds import derivation, image_kind, is_swi
from .series import TEXTS, Instance, Series
from .stacks import ECHO_TOLERANCE_MS, check_positions, check_stack, find_stacks, overlaps

SECONDS = ("EchoTime", "RepetitionTime", "InversionTime")


@dataclass(frozen=True)
class Converted:
    """One image made from DICOM files.

    Attributes:
        image: the NIfTI file.
        folder: the folder of its DICOM files.
        files: the DICOM files of its series.
        kind: see :func:`csvd.io.dicom.image_kinds.image_kind`.
        derivation: how it was made from others, see :func:`csvd.io.dicom.image_kinds.derivation`; empty for an
            original.
        derived: whether ImageType says so, as it does of some scanners' own SWI.
        gradient_echo: whether nothing says spin echo or diffusion.
        epi: whether it is echo planar.
        sequence: what its tags say, see :func:`csvd.io.sequence_of_tags`.
        swi: whether it is a susceptibility-weighted image.
        echo_ms: echo time, 0 when it is not known.
        slices: number of slices.
        overlapping: whether slices are at least twice as thick as they are apart.
        series: number and description of its series, for example ``"4 'me_fMRI'"``.
        number: number of its series, None when it has none.
        notes: what dcm2niix warned of while converting its series, but for the next.
        warnings: what a user must know of where its slices lie.
    """

    image: Path
    folder: Path
    files: tuple[Path, ...] = ()
    kind: str = "magnitude"
    derivation: str = ""
    derived: bool = False
    gradient_echo: bool = True
    epi: bool = False
    sequence: str | None = None
    swi: bool = False
    echo_ms: float = 0.0
    slices: int = 0
    overlapping: bool = False
    series: str = ""
    number: int | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotConverted:
    """Images of a series that could not be converted: what their tags say of them, and why."""

    scan: Converted
    error: InputError


def convert_all(series: Iterable[Series], workdir: Path) -> tuple[list[Converted], list[NotConverted]]:
    """Convert series, see :func:`csvd.io.dicom.series.sort_series`, and return the images, and what is none and why.

    Args:
        series: which ones.
        workdir: folder for new folders of NIfTI files, which the caller removes.
    """
    scans: list[Converted] = []
    failed: list[NotConverted] = []
    for one in series:
        name = f"series {one.name} in DICOM folder '{one.folder}'"
        whole: list[Instance] = []
        warnings: list[str] = []
        stacks = list(find_stacks(one))
        for stack in stacks:
            echo = f" (TE {stack[0].echo_ms:.3g} ms)" if len(stacks) > 1 and stack[0].echo_ms else ""
            try:
                warnings += check_stack(stack, name + echo, one.uid_per_file)
                whole += stack
            except InputError as error:
                failed.append(NotConverted(_from_tags(one, stack), error))
        try:
            scans += _convert(one, whole, warnings, workdir, name) if whole else []
        except InputError as error:
            failed.append(NotConverted(_from_tags(one, whole), error))
    return scans, failed


def _convert(
    series: Series, members: Sequence[Instance], warnings: Sequence[str], workdir: Path, name: str
) -> list[Converted]:
    """Convert the whole stacks of a series.

    Raises:
        InputError: dcm2niix failed, or put slices where they do not belong.
    """
    images, messages = run_dcm2niix(series, [one.path for one in members], workdir)
    geometry = tuple(f"{name}: {line}" for line in messages if about_geometry(line))
    scans = []
    for image in images:
        scan = _from_sidecar(image, _from_tags(series, members), series.first)
        own = [one for one in members if not one.echo_ms or abs(one.echo_ms - scan.echo_ms) < ECHO_TOLERANCE_MS]
        check_positions(image, own, name)
        notes = tuple(f"dcm2niix: {line}" for line in messages if not about_geometry(line))
        scans.append(replace(scan, notes=notes, warnings=(*warnings, *geometry), overlapping=overlaps(own)))
    return scans


def _from_tags(series: Series, members: Sequence[Instance]) -> Converted:
    """Return what the tags of DICOM files say of an image of them."""
    first = members[0]
    tags: dict[str, Any] = {tag: first.text(tag) for tag in ("Modality", "ProtocolName", "SequenceName", *TEXTS)}
    tags["ScanningSequence"] = "_".join(values_of(first.tags, "ScanningSequence"))
    for tag in (*SECONDS, "MagneticFieldStrength"):
        value = numbers_of(first.tags, tag, 1)
        tags |= {tag: value[0] / (1000 if tag in SECONDS else 1)} if value else {}
    known = Converted(series.folder, series.folder, series.files, series=series.name, number=series.number)
    return replace(_described(known, tags, first), slices=len(members))


def _from_sidecar(image: Path, known: Converted, first: Instance) -> Converted:
    """Translate the sidecar (BIDS names; seconds) beside ``image``, and mend it where the DICOM tags know better."""
    path = image.with_suffix(".json")
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8", errors="replace"), strict=False)
    except ValueError:  # text in some alphabets
        sidecar = {}
    sidecar |= {tag: first.text(tag) for tag in ("Modality", "SeriesDescription", "ProtocolName") if first.text(tag)}
    if known.number is None:
        sidecar.pop("SeriesNumber", None)  # dcm2niix makes one up
    scan = replace(_described(known, sidecar, first), image=image)
    if scan.kind == "phase" and scan.kind.upper() not in sidecar.get("ImageType", []):
        sidecar["ImageType"] = [*sidecar.get("ImageType", []), "PHASE"]
    path.write_text(json.dumps(sidecar, indent=1), encoding="utf-8")
    return replace(scan, slices=nib.Nifti1Image.from_filename(image).shape[2])


def _described(known: Converted, tags: Mapping[str, Any], first: Instance) -> Converted:
    """Return an image with what tags say of it, in BIDS names, and the tags of one of its files."""
    types = [str(word).upper() for word in tags.get("ImageType", first.types)]
    texts = [first.text(tag) for tag in TEXTS]
    kind = image_kind(types, *texts)
    kind = first.kind if kind == "magnitude" else kind
    sequence = f"{tags.get('ScanningSequence', '')} {tags.get('SequenceName', '')}".upper()
    return replace(
        known,
        kind=kind,
        derivation=derivation(types, *texts) or first.derivation if kind == "derived" else "",
        derived="DERIVED" in types,
        gradient_echo="SE" not in sequence and "DIFFUSION" not in types,
        epi="EP" in sequence,
        sequence="phase" if kind == "phase" else sequence_of_tags({**tags, "ImageType": types}),
        swi=is_swi(types, *texts),
        echo_ms=1000 * float(tags.get("EchoTime", 0)),
    )
