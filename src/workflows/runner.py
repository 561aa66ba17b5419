"""A bundle that came with this package, and its own evaluator, given one scan after the other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from ..bundles import CONFIG, came_with_csvd, find_overlay, making, plain
from ..checks import BundleError, InputError, cause_of, is_foreseen
from ..engines.weights import read_state
from ..io import Case, check_scan, derivative_path, write_derivative
from ..io.files import sha256
from ..io.json_files import load_config
from ..io.nifti import read_once
from ..io.temporary import temporary_folder
from ..names import with_source
from ..sequences import SEQUENCES
from .gate import SequenceGate, check_sequence
from .results import Result
from .single_run import SingleRun

WEIGHTS = "models/model.pt"
WRITER = "handlers#1"  # of the results, in that config
OTHER_FILES = ("mask", "phase", "label")  # of an item, besides the scan


class BundleRunner:
    """A bundle's own inference, for one case after the other, each in a run of its own.

    Args:
        bundle: folder with ``configs/inference.json`` and ``models/model.pt``.
        settings: values that replace those of the config, by config id, for example ``{"threshold": 0.3}``.
        gate_bundle: folder of the bundle whose sequence gate refuses scans of other sequences; none is refused without.
        dicom: write DICOM objects too; the scans come from DICOM.
        derivative: BIDS derivative, into which the results go.
        any_sequence: refuse no scan; the gate still finds the contrast.
        overlays: see :func:`read_config`.

    Raises:
        InputError: a bundle has no inference config or no weights, or an overlay does not exist.
    """

    def __init__(
        self,
        bundle: Path,
        settings: Mapping[str, Any],
        gate_bundle: Path | None = None,
        dicom: bool = False,
        derivative: Path | None = None,
        any_sequence: bool = False,
        overlays: Sequence[str | Path] = (),
    ) -> None:
        shared = {name: settings[name] for name in ("volume", "device") if name in settings}
        self.gate = None if gate_bundle is None else SequenceGate(gate_bundle, shared)
        self.bundle, self.settings, self.overlays = bundle, settings, overlays
        self.contrast = settings.get("contrast")
        # A bundle that cannot be made ends the command, not each scan.
        kind: tuple[str, str | None] = (self.contrast or "dark", None)
        parser = self._config(*kind)
        with making(bundle):
            self.also = taken_over(parser)
            self.runs = {kind: SingleRun(parser)}
            weights = parser.get_parsed_content("weights") if "weights" in parser else bundle / WEIGHTS
        read_state(weights)  # what cannot be read is told before any scan
        self.dicom = dicom
        self.derivative = derivative
        self.any_sequence = any_sequence

    def __call__(self, case: Case) -> Result:
        """Check one scan, run the bundle, write its outputs and return what is in them.

        Raises:
            InputError: the scan cannot be converted from DICOM, breaks a rule of :func:`csvd.io.check_scan`, the gate
                refuses its sequence, or DICOM objects cannot be written for it.
        """
        with temporary_folder() as workdir, read_once():
            try:
                return self._run(case.converted(workdir), case, str(workdir))
            except Exception as error:
                if is_foreseen(error):
                    raise InputError(with_source(str(cause_of(error)), str(workdir), case.source)) from error
                if not came_with_csvd(self.bundle):
                    raise BundleError(self.bundle) from error
                raise

    def single_run(self, contrast: str, sequence: str | None) -> SingleRun:
        """Return what runs scans of a contrast and a sequence; its network is kept for the next scan."""
        kind = contrast, sequence
        if kind not in self.runs:
            with making(self.bundle):
                self.runs[kind] = SingleRun(self._config(*kind))
        return self.runs[kind]

    def _config(self, contrast: str, sequence: str | None) -> ConfigParser:
        settings = {**self.settings, "contrast": contrast, "sequence": sequence}
        return read_config(self.bundle, settings, self.overlays)

    def _run(self, scan: Case, case: Case, workdir: str) -> Result:
        info = check_scan(scan.image, scan.mask)
        scan = replace(scan, notes=[*scan.notes, *info.notes], warnings=[*scan.warnings, *info.warnings])
        if self.gate is not None:
            scan = check_sequence(scan, self.gate(scan), self.contrast, self.any_sequence)
        known = {"source": case.source, "source_sha256": fingerprint(case, self.also), "temporary": workdir}
        known["paths"] = "\n".join(map(str, case.paths))
        item = {**scan.item(self.also), **known, **({"sequence": "SWI"} if scan.is_swi else {})}
        single_run = self.single_run(item.get("contrast") or self.contrast or "dark", item.get("sequence"))
        with single_run(item) as evaluator:
            writer = single_run.parser.get_parsed_content(WRITER)
            if self.dicom:
                from ..io.dicom.source import find_source
                from ..io.dicom.writer import write_dicom

                writer.also_write = partial(write_dicom, source=find_source(scan.image, scan.dicom))
            evaluator.run()
        [record] = writer.records
        if self.derivative is not None:
            record = write_derivative(writer.output_dir / scan.name, record, self.derivative, scan.image)
        return Result(record, writer.seconds)


def taken_over(config: ConfigParser) -> Collection[str]:
    """Return which values of a data list, such as "age", the items of a config take over."""
    return config["dataset#data"].get("also", ())


def fingerprint(case: Case, also: Collection[str]) -> str:
    """Return the SHA-256 of the user's files that a result rests on, and of what is known of the scan.

    Args:
        case: before it is converted from DICOM.
        also: see :meth:`Case.item`.
    """
    item = replace(case, notes=[], warnings=[]).item(also)
    others = [Path(item[key]) for key in OTHER_FILES if key in item]
    known = sorted((key, str(value)) for key, value in item.items() if key not in ("image", *OTHER_FILES))
    digests = [*case.digests(), *(sha256(file) if file.is_file() else None for file in others)]  # no phase: a warning
    return hashlib.sha256(json.dumps([known, digests]).encode()).hexdigest()


def read_config(bundle: Path, settings: Mapping[str, Any], overlays: Sequence[str | Path] = ()) -> ConfigParser:
    """Return the inference config of a bundle, with overlays and settings of one's own.

    Args:
        bundle: its folder.
        settings: values, by config id.
        overlays: further configs, in order, see :func:`csvd.bundles.find_overlay`. Where there are none, and the
            config names one for the contrast of ``settings`` (``contrast_overlays``), that is taken.

    Raises:
        InputError: the bundle has no such config, or no weights; an overlay does not exist, or is one over training;
            a config is no JSON object, or cannot be read as one of MONAI's.
    """
    for needed in (CONFIG, WEIGHTS):
        if not (bundle / needed).exists():
            raise InputError(f"bundle '{bundle}' has no {needed}: give the folder of a complete bundle.")
    for name, allowed in (("contrast", ("dark", "bright")), ("sequence", (None, *SEQUENCES))):
        if settings.get(name) not in (None, *allowed):  # of a result to resume, it may be anything, code too
            raise InputError(f"{name} must be one of {', '.join(filter(None, allowed))}, it is {settings[name]!r:.50}.")
    with making(bundle):
        known = {**load_config(bundle / CONFIG), **settings}
        own = known.get("contrast_overlays", {}).get(known["contrast"])
        files = [find_overlay(bundle, overlay) for overlay in overlays]
        if own and not overlays:  # of the bundle alone: the user named no file
            files = [bundle / "configs" / f"{own}.json"]
        for file in files:
            _check_overlay(file)
        parser = ConfigParser()
        parser.read_config([str(bundle / CONFIG), *map(str, files)])
        paths = {"bundle_root": plain(bundle)}
        if "output_dir" in settings:
            paths["output_dir"] = plain(settings["output_dir"])
        parser.update({**settings, **paths})
    return parser


def _check_overlay(path: Path) -> None:
    if any(key.startswith(("train#", "validate#")) for key in load_config(path)):
        raise InputError(
            f"overlay '{path}' must be one over inference.json, it is one over the configs of training. Give it to "
            "`python -m monai.bundle run`."
        )


def record_path(out: Path, case: str, bids: bool = False) -> Path:
    """Return where the JSON of a case is, in a BIDS derivative where asked."""
    return derivative_path(out, case, "_record.json") if bids else out / case / f"{case}.json"
