"""JSON of a case: what is known about the making of its result."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..names import storable
from .files import sha256, write_text

DICOM_ENDS = ("seg", "sr")
"""Ends of the names of the DICOM objects that :mod:`csvd.io.dicom` may add to a case, ``<case>_<end>.dcm``."""
OWN_SERIES = {
    "SEG": "csvd: suspected microbleeds. Research use only.",
    "SR": "csvd: microbleed report. Research use only.",
}
"""Descriptions of the series of these objects, by modality: by them a server's results are known for those of csvd."""


def write_record(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Write the JSON of a case, and return its content as one that reads it gets it."""
    text = storable(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    write_text(text + "\n", path)
    return json.loads(text)


def check_not_corrected(record: Path) -> None:
    """Raise a FileExistsError where a person corrected a file of the result that a JSON tells of, if there is one."""
    written = json.loads(record.read_text(encoding="utf-8")).get("sha256", {}) if record.exists() else {}
    for name, digest in written.items():
        file = record.with_name(name)
        if file.exists() and sha256(file) != digest:
            raise FileExistsError(
                f"output '{file}' was corrected since csvd wrote it and would be lost: move it elsewhere, or choose "
                "another output folder."
            )
