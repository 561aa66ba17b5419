"""Run the detection bundle on scans: the work behind ``csvd detect``."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from tqdm import tqdm

from .checks import first_cause
from .data import Case, InputError, check_output, check_scan, find_cases
from .gate import SequenceGate, check_sequence
from .report import write_participants


def find_bundle(name: str) -> Path:
    """Return the folder of a bundle that came with this package.

    Looked for beside a source checkout, around a package that was packed into its bundle, and where the wheel puts it.

    Raises:
        InputError: none of them holds ``configs/inference.json``.
    """
    root = Path(__file__).parents[1]
    for folder in (root / "bundles" / name, root, Path(sys.prefix) / "share" / "csvd" / "bundles" / name):
        if (folder / "configs" / "inference.json").exists():
            return folder
    raise InputError(f"bundle '{name}' did not come with this installation of csvd: name its folder with --bundle.")


class Detector:
    """The bundle's own evaluator, given one case after the other.

    Args:
        bundle: folder with ``configs/inference.json`` and ``models/model.pt``.
        settings: values that replace those of the config, by config id, for example ``{"threshold": 0.3}``.
        gate: refuses scans of other sequences.

    Raises:
        InputError: ``bundle`` has no inference config or no weights.
    """

    def __init__(self, bundle: Path, settings: Mapping[str, Any], gate: SequenceGate | None = None) -> None:
        for needed in ("configs/inference.json", "models/model.pt"):
            if not (bundle / needed).exists():
                raise InputError(f"bundle '{bundle}' has no {needed}: give the folder of a complete bundle.")
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs" / "inference.json"))
        parser.update({"bundle_root": str(bundle), "dataset#data": [], **settings})
        self.gate = gate
        self.contrast = settings.get("contrast")
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.evaluator = parser.get_parsed_content("evaluator")
        self.output_dir = Path(parser.get_parsed_content("output_dir"))

    def __call__(self, case: Case) -> dict[str, Any]:
        """Check one scan, detect, write its outputs and return the content of its JSON.

        Raises:
            InputError: the scan breaks a rule of :func:`csvd.data.check_scan`, or the gate refuses its sequence.
        """
        info = check_scan(case.image, case.mask)
        case = replace(case, notes=[*case.notes, *info.notes])
        if self.gate is not None:
            case = check_sequence(case, self.gate(case), self.contrast)
        self.evaluator.data_loader = DataLoader(Dataset([case.item()], self.preprocessing), batch_size=1)
        self.evaluator.state.epoch_length = 1
        self.evaluator.run()
        return json.loads((self.output_dir / case.name / f"{case.name}.json").read_text())


def detect(
    source: Path,
    out: Path,
    bundle: Path,
    *,
    mask: Path | None = None,
    phase: Path | None = None,
    section: str = "test",
    overwrite: bool = False,
    any_sequence: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Detect microbleeds in a scan, a folder of scans, a DICOM series or a data list.

    Args:
        source: ``.nii``, ``.nii.gz``, a folder of them, a DICOM series folder, or a data list (``.json``).
        out: folder of the results, one folder a case, and ``participants.tsv`` for more than one.
        bundle: folder of the detection bundle.
        mask: brain mask of a single scan, on its grid.
        phase: phase image or QSM of a single scan, on its grid; else what lies beside it.
        section: part of a data list to read.
        overwrite: replace the results of an earlier run.
        any_sequence: detect whatever the sequence gate says of a scan.
        settings: further values for the inference config, by config id.

    Returns:
        A row a case: name, ``status`` ("ok" or "failed"), and either the case's JSON or the ``reason``.

    Raises:
        InputError: the input or output cannot be used, or the only scan is bad. A bad scan of several becomes a row.
    """
    with tempfile.TemporaryDirectory(prefix="csvd-") as workdir:
        cases = find_cases(source, mask=mask, section=section, workdir=Path(workdir), phase=phase)
        check_output(out, [case.name for case in cases], overwrite=overwrite)
        settings = settings or {}
        shared = {name: settings[name] for name in ("volume", "device") if name in settings}
        gate = None if any_sequence else SequenceGate(bundle, shared)
        detector = Detector(bundle, {"output_dir": str(out), "overwrite": overwrite, **settings}, gate)
        if len(cases) == 1:
            return [{"case": cases[0].name, "status": "ok", **detector(cases[0])}]
        rows = list(_detect_each(detector, tqdm(cases, desc="scans", unit="scan", disable=None)))
        write_participants(rows, out / "participants.tsv")
        return rows


def _detect_each(detector: Detector, cases: Iterable[Case]) -> Iterable[dict[str, Any]]:
    for case in cases:
        try:
            yield {"case": case.name, "status": "ok", **detector(case)}
        except Exception as error:  # whatever is wrong with one scan must not stop the others
            yield {"case": case.name, "status": "failed", "reason": str(first_cause(error))}
