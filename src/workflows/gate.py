"""Which MR sequence a series is, and whether it may go to the detector: the work behind ``csvd sort``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from tqdm import tqdm

from ..bundles import making, plain
from ..checks import InputError, reason
from ..engines.weights import read_state
from ..io import Case, check_scan, read_sidecar, sequence_of_name, sequence_of_tags
from ..io.dicom.conversion import convert_all
from ..io.dicom.files import is_dicom
from ..io.dicom.series import sort_series
from ..io.json_files import load_config
from ..io.temporary import temporary_folder
from ..sequences import GROUPS, SUITABLE
from ..transforms.slices.name_sequence import UNSURE
from .single_run import SingleRun

logger = logging.getLogger(__name__)

ALMOST_SURE = 0.95
"""Probability from which pixels alone refuse a scan."""

REFUSED = [name for name, group in GROUPS.items() if group not in ("T2*/SWI", "T2-like", "QSM")]
"""What pixels can refuse. T2-weighted spin echo is not among them: gradient echo with bright CSF looks like it."""

CONFIG, WEIGHTS = "configs/sequence_inference.json", "models/sequence.pt"


@dataclass(frozen=True)
class SeriesSequence:
    """What a series is.

    Attributes:
        sequence: one of :data:`csvd.sequences.SEQUENCES`, or ``"unsure"``; what the tags say goes before the pixels.
        contrast: how microbleeds look on it, ``"dark"`` or ``"bright"``; None where the detector does not take it.
        pixels: what most slices look like, or ``"unsure"``.
        probability: mean over the slices.
        votes: slices that look like it.
        tags: what the DICOM tags or the BIDS name say, if they do.
        warning: how tags and pixels disagree, or why nothing is sure; empty when all is well.
        by: which of the two ``tags`` comes from, in words.
        told: what else the user must know of it, one sentence each: of its JSON files, of how it was made.
    """

    sequence: str
    contrast: str | None
    pixels: str
    probability: float
    votes: int
    tags: str | None
    warning: str = ""
    source: str = "DICOM tags"
    notices: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What the user must be told of it, one sentence each."""
        return [*self.notices, *([self.warning] if self.warning else [])]


class SequenceGate:
    """The bundle's own evaluator of series, given one after the other.

    Args:
        bundle: folder with ``configs/sequence_inference.json`` and ``models/sequence.pt``.
        settings: values that replace those of the config, by config id.

    Raises:
        InputError: the bundle has no such config or weights.
    """

    def __init__(self, bundle: Path, settings: Mapping[str, Any] | None = None) -> None:
        for needed in (CONFIG, WEIGHTS):
            if not (bundle / needed).exists():
                raise InputError(f"bundle '{bundle}' has no {needed}: give the folder of a complete bundle.")
        load_config(bundle / CONFIG)  # MONAI does not name what it cannot read
        with making(bundle):
            parser = ConfigParser()
            parser.read_config(str(bundle / CONFIG))
            parser.update({"bundle_root": plain(bundle), **(settings or {})})
            loaders = [one for one in parser["handlers"] if one["_target_"] == "CheckpointLoader"]
            parser["handlers"] = loaders  # no table: a row a series is returned
            self.single_run = SingleRun(parser)
        read_state(bundle / WEIGHTS)

    def __call__(self, case: Case) -> SeriesSequence:
        """Name one series, with what its JSON files say, or its BIDS name where they do not decide."""
        with self.single_run({"image": str(case.image)}) as evaluator:
            evaluator.run()
            [prediction] = evaluator.state.output
        sidecar, broken = read_sidecar(case.image)
        tags = sequence_of_tags(sidecar)
        found = (
            resolve_sequence(prediction, tags)
            if tags
            else resolve_sequence(prediction, sequence_of_name(case.image), source="BIDS name")
        )
        return replace(found, notices=tuple(broken))


def resolve_sequence(prediction: Mapping[str, Any], tags: str | None, source: str = "DICOM tags") -> SeriesSequence:
    """Return what a series is, from what :class:`csvd.transforms.NameSequenced` said and from its tags.

    Tags decide where there are any. Without them a series goes to the detector when the sequences that it takes are
    likelier than all others together.
    """
    pixels = str(prediction["sequence"])
    sequence = tags or pixels
    if tags is None and pixels == UNSURE:
        warning = (
            f"its pixels do not show which sequence it is (highest probability {prediction['probability']:.2f}): check "
            "that it is SWI, T2*-weighted or QSM"
        )
    elif tags and pixels != UNSURE and GROUPS[tags] != GROUPS[pixels]:
        warning = f"by its {source} it is {tags}, its pixels look like {pixels} ({prediction['probability']:.2f})"
    else:
        warning = ""
    if tags is not None:
        contrast = SUITABLE.get(tags)
    else:
        contrast = SUITABLE.get(pixels, "dark") if prediction["suitable"] > 0.5 else None
    return SeriesSequence(
        sequence, contrast, pixels, float(prediction["probability"]), int(prediction["votes"]), tags, warning, source
    )


def check_sequence(case: Case, found: SeriesSequence, contrast: str | None = None, any_sequence: bool = False) -> Case:
    """Return the case with a note on its sequence, and with its contrast, and that it is SWI, unless it has them.

    A scan that a user names is refused when its tags, or its BIDS name, say that it is of another sequence, or when its
    pixels almost surely do, see :data:`ALMOST_SURE`. What is in doubt is searched, with a warning.

    Args:
        case: the scan.
        named: what it is.
        contrast: what the user said, which goes before what was seen.
        any_sequence: refuse nothing.

    Raises:
        InputError: it is of another sequence.
    """
    source = found.source if found.tags else f"probability {found.probability:.2f}, {found.votes} slices"
    sure = found.tags is not None or (found.pixels in REFUSED and found.probability >= ALMOST_SURE)
    if found.contrast is None and sure and not any_sequence:
        raise InputError(
            f"scan '{case.image}' must be SWI, T2*-weighted or QSM, it looks like {found.sequence} ({source}). Give "
            "the right series, or --any-sequence to detect all the same."
        )
    warnings = [*case.warnings, *found.remarks]
    if found.contrast is None and found.sequence != UNSURE:
        warnings.append(
            f"it was searched as SWI or T2*-weighted, it looks like {found.sequence} ({source}): check that it is the "
            "right series"
        )
    notes = [*case.notes, f"sequence: {found.sequence} ({source})"]
    contrast = case.contrast or contrast or found.contrast or "dark"
    # A gradient echo by its tags may be SWI by its name: SWI is made from one.
    sequence = case.sequence or ("SWI" if found.tags == "SWI" else None)
    return replace(case, contrast=contrast, sequence=sequence, notes=notes, warnings=warnings)


@dataclass(frozen=True)
class SortedSeries:
    """A row of ``csvd sort``: a series by name, and what it is, or why that cannot be said."""

    name: str
    found: SeriesSequence | None
    reason: str = ""


def sort_study(root: Path, bundle: Path) -> list[SortedSeries]:
    """Return what each series under a folder is: DICOM series and NIfTI files, those of subfolders too.

    Raises:
        InputError: ``root`` is no folder, or holds no series.
    """
    if not root.is_dir():
        raise InputError(f"study '{root}' is not a folder: give the folder that holds its series.")
    gate = SequenceGate(bundle)
    with temporary_folder() as workdir:
        cases = list(find_series(root, workdir))
        if not cases:
            raise InputError(f"study '{root}' must hold series, it holds neither NIfTI nor DICOM files.")
        return [_sort(case, gate) for case in tqdm(cases, desc="series", unit="series", disable=None)]


def _sort(case: Case | SortedSeries, gate: SequenceGate) -> SortedSeries:
    if isinstance(case, SortedSeries):
        return case
    try:
        notices = (*case.warnings, *check_scan(case.image).warnings)
        found = gate(case)
        return SortedSeries(case.name, replace(found, notices=(*notices, *found.notices)))
    except Exception as error:  # whatever is wrong with one series must not stop the others
        logger.error("%s failed: %s", case.name, reason(error), exc_info=not isinstance(error, InputError))
        return SortedSeries(case.name, None, reason(error))


def find_series(root: Path, workdir: Path) -> Iterator[Case | SortedSeries]:
    """Yield the series under a folder; a row with the reason in place of a DICOM series that cannot be read.

    Args:
        root: the folder; hidden ones below it are left out.
        workdir: folder for what is converted from DICOM, which the caller removes.
    """
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        relative = folder.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        for path in sorted(folder.iterdir()):
            if path.name.lower().endswith((".nii", ".nii.gz")) and not path.name.startswith("."):
                yield Case(str(relative / path.name), path)
        yield from _dicom_series(folder, str(relative), workdir)


def _dicom_series(folder: Path, relative: str, workdir: Path) -> Iterator[Case | SortedSeries]:
    """Yield the DICOM series right inside a folder."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(path)]
    scans, failed = convert_all(sort_series(files)[0], workdir)
    for one in failed:
        yield SortedSeries(f"{relative} series {one.scan.series}", None, str(one.error))
    for scan in scans:
        echo = f", TE {scan.echo_ms:.3g} ms" if scan.echo_ms else ""
        derived = [f"it is a derived image ({scan.derivation}), no original"] if scan.derivation else []
        yield Case(f"{relative} series {scan.series}{echo}", scan.image, warnings=[*derived, *scan.warnings])
    if files and not scans and not failed:
        yield SortedSeries(
            relative, None, f"DICOM folder '{folder}' must hold images, none of them can be read. Check it."
        )
