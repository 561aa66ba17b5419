"""What a BIDS derivative says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ... import __version__
from ...lesions.limits import LIMITS, RESEARCH_USE
from ..files import write_text
from .container import container

BIDS_VERSION = "1.10.0"
IGNORED = (
    "*_report.html",
    "*_record.json",
    "*_candidates.tsv",
    "*_lesions.mrk.json",
    "index.html",
    "cohort.*",
    "lesions_all.*",
    "logs",
)

README = f"""# Suspected cerebral microbleeds

Made by csvd {__version__}. {RESEARCH_USE}

- `*_desc-cmb*_dseg.nii.gz`: instance map on the grid of the scan, one number a lesion; `_dseg.tsv`: its lesions
- `*_desc-cmb*_probseg.nii.gz`: probability of a microbleed
- `*_desc-cmb*_report.html`: pictures and table of a scan; `_record.json`: settings, counts, versions and warnings
- `*_desc-cmb*_candidates.tsv`: what was looked at, also what was not kept
- `cohort.tsv`: a row a scan, also those that failed, with the reason; `participants.tsv`: a row a participant;
  `lesions_all.tsv`: a row a lesion
- `logs`: a file for each scan that failed, with the reason

`desc` is `cmb` for a scan with the suffix `swi`; for others the suffix follows, as in `cmbT2starw`.

""" + "".join(f"- {limit}\n" for limit in LIMITS)  # fmt: skip


def write_description(out: Path, source: Path) -> None:
    """Write what a derivative says of itself, whatever scans it has.

    Args:
        out: folder of the derivative.
        source: BIDS folder of the scans.
    """
    out.mkdir(parents=True, exist_ok=True)
    raw = bids_uri(Path(os.path.relpath(source, out)))
    doi = read_description(source).get("DatasetDOI")
    description = {
        "Name": "csvd: suspected cerebral microbleeds. Research use only.",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [_maker()],
        "SourceDatasets": [{"DOI": doi} if doi else {"URL": raw}],
        "DatasetLinks": {"raw": raw},
    }
    write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", out / "dataset_description.json")
    write_text("\n".join(IGNORED) + "\n", out / ".bidsignore")
    write_text(README, out / "README.md")


def _maker() -> dict[str, Any]:
    """Return what made the derivative, and the container that it ran in."""
    made: dict[str, Any] = {"Name": "csvd", "Version": __version__, "Description": "Detection of cerebral microbleeds"}
    image = container()
    return made if image is None else {**made, "Container": image}


def source_of(out: Path) -> Path:
    """Return the BIDS folder that a derivative was made from."""
    links = read_description(out).get("DatasetLinks")
    raw = links.get("raw") if isinstance(links, dict) else None
    return out / os.fsdecode(unquote_to_bytes(raw)) if isinstance(raw, str) else out


def read_description(folder: Path) -> dict[str, Any]:
    """Return what ``dataset_description.json`` says: ``{}`` where there is none, and of a damaged one a name alone."""
    path = folder / "dataset_description.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig", errors="replace")) if path.exists() else {}
    except (OSError, ValueError, RecursionError):
        found = {"Name": "unknown"}
    return found if isinstance(found, dict) else {"Name": "unknown"}


def bids_uri(path: Path) -> str:
    """Return a relative path as BIDS has it in texts, where ``#`` and ``%`` mean something else."""
    return quote(os.fsencode(path.as_posix()))
