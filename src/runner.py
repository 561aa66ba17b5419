"""A bundle that came with this package, and its own evaluator, given one scan after the other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset

from .bundles import find_bundle as find_bundle
from .data import Case, InputError, check_scan
from .gate import SequenceGate, check_sequence
from .report import derivative_path, write_derivative

CONFIG = "configs/inference.json"
WRITER = "handlers#1"  # of the results, in that config


class BundleRunner:
    """A bundle's own evaluator, given one case after the other.

    Args:
        bundle: folder with ``configs/inference.json`` and ``models/model.pt``.
        settings: values that replace those of the config, by config id, for example ``{"threshold": 0.3}``.
        gate_bundle: folder of the bundle whose sequence gate refuses scans of other sequences; none is refused without.
        dicom: write DICOM objects too; the scans come from DICOM.
        derivative: BIDS derivative, into which the results go.

    Raises:
        InputError: a bundle has no inference config or no weights.
    """

    def __init__(
        self,
        bundle: Path,
        settings: Mapping[str, Any],
        gate_bundle: Path | None = None,
        dicom: bool = False,
        derivative: Path | None = None,
    ) -> None:
        shared = {name: settings[name] for name in ("volume", "device") if name in settings}
        self.gate = None if gate_bundle is None else SequenceGate(gate_bundle, shared)
        parser = read_config(bundle, settings)
        self.contrast = settings.get("contrast")
        self.also = parser["dataset#data"].get("also", ())
        parser["dataset#data"] = []
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.evaluator = parser.get_parsed_content("evaluator")
        self.writer = parser.get_parsed_content(WRITER)
        self.dicom = dicom
        self.derivative = derivative
        self.output_dir = Path(parser.get_parsed_content("output_dir"))

    def __call__(self, case: Case) -> dict[str, Any]:
        """Check one scan, run the bundle, write its outputs and return the content of its JSON.

        Raises:
            InputError: the scan cannot be converted from DICOM, breaks a rule of :func:`csvd.data.check_scan`, the gate
                refuses its sequence, or DICOM objects cannot be written for it.
        """
        with tempfile.TemporaryDirectory(prefix="csvd-") as workdir:
            return self._run(case.converted(Path(workdir)))

    def _run(self, case: Case) -> dict[str, Any]:
        info = check_scan(case.image, case.mask)
        case = replace(case, notes=[*case.notes, *info.notes])
        if self.gate is not None:
            case = check_sequence(case, self.gate(case), self.contrast)
        if self.dicom:
            from .report.dicom import find_source, write_dicom

            self.writer.also_write = partial(write_dicom, source=find_source(case.image, case.dicom))
        self.evaluator.data_loader = DataLoader(Dataset([case.item(self.also)], self.preprocessing), batch_size=1)
        self.evaluator.state.epoch_length = 1
        self.evaluator.run()
        record = record_path(self.output_dir, case.name)
        if self.derivative is not None:
            record = write_derivative(record.parent, self.derivative, case.image)
        return json.loads(record.read_text(encoding="utf-8"))


def read_config(bundle: Path, settings: Mapping[str, Any]) -> ConfigParser:
    """Return the inference config of a bundle with settings of one's own.

    Raises:
        InputError: the bundle has no such config, or no weights.
    """
    for needed in (CONFIG, "models/model.pt"):
        if not (bundle / needed).exists():
            raise InputError(f"bundle '{bundle}' has no {needed}: give the folder of a complete bundle.")
    parser = ConfigParser()
    parser.read_config(str(bundle / CONFIG))
    parser.update({"bundle_root": str(bundle), **settings})
    return parser


def record_path(out: Path, case: str, bids: bool = False) -> Path:
    """Return where the JSON of a case is, in a BIDS derivative where asked."""
    return derivative_path(out, case, "_record.json") if bids else out / case / f"{case}.json"
