"""What came of each scan of a derivative, kept one by one: processes that write to one derivative share no file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...checks import InputError
from ...names import folder_name
from ..files import write_text

FAILURES = "logs"
"""Folder of the derivative with a JSON for each scan that failed and has not succeeded since."""


def write_outcomes(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Keep the reasons of scans that failed, and remove those of scans that did not; their records are there.

    Args:
        rows: ``case`` and ``status`` of each scan and, where it failed, ``subject`` and ``reason``.
        out: folder of the derivative.
    """
    for row in rows:
        path = out / FAILURES / f"{folder_name(row['case'])}.json"
        if row["status"] == "ok":
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(json.dumps(row, indent=2, ensure_ascii=False) + "\n", path)


def read_outcomes(out: Path) -> list[dict[str, Any]]:
    """Return the rows of all scans of a derivative, by name.

    A scan that failed stays failed, though an older result is there.

    Raises:
        InputError: there is none.
    """
    rows = {}
    for path in out.glob("sub-*/**/sub-*_record.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        rows[record["case"]] = {"case": record["case"], "status": "ok", **record}
    for path in out.glob(f"{FAILURES}/sub-*.json"):
        row = json.loads(path.read_text(encoding="utf-8"))
        rows[row["case"]] = row
    if not rows:
        raise InputError(f"folder '{out}' must hold results of `csvd detect`, it holds none: check the path.")
    return [rows[name] for name in sorted(rows)]
