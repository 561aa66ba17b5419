"""Table of a cohort: one row a scan, also for those that failed."""

import csv
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checks import InputError
from ..files import atomic_path
from ..mars import MARS
from ..names import storable
from ..regions import REGIONS
from .burden import UNKNOWN, WORDS
from .quality import quality_flags

PARTICIPANT_COLUMNS: dict[str, str] = {
    "case": "name of the scan and of its folder",
    "subject": "person who was scanned, where BIDS or a data list says who",
    "status": "ok or failed",
    "reason": "why it failed",
    "qc": "why to look at it first: failed, warnings, or outlier among the scans, by a robust z-score; none: nothing",
    "n_lesions": "number of suspected microbleeds",
    **{f"n_{region}": f"of them {region}, approximate" for region in REGIONS},
    "n_no_region": "of them without a region, because the scan does not show a whole brain",
    **{f"mars_{name.replace(' ', '_')}": f"of them {name} of the rating scale, approximate" for name in MARS},
    "n_large": "lesions longer than 10 mm, no microbleeds by definition (macrobleed, cavernoma?), in no other count",
    **WORDS,
    "regions": "how regions were found: registration, bounding box (less exact) or none",
    "mask_volume_ml": "volume of the brain mask, ml",
    "median_intensity": "median of the scan in the brain mask, in the file's own unit",
    "n_warnings": "number of warnings",
    "warnings": "what they say",
}
"""Columns of ``participants.tsv``, in order, and what they hold."""


def participant(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of one scan.

    Args:
        row: ``case`` and ``status``, and either ``reason`` or the content of the JSON that :class:`CaseWriter` writes.
    """
    if row["status"] != "ok":
        return failed_columns(row)
    counts = row["counts"]
    return {
        "case": row["case"],
        "subject": row.get("subject"),
        "status": row["status"],
        "n_lesions": counts["total"],
        **{f"n_{region}": counts[region] for region in REGIONS},
        "n_no_region": counts[UNKNOWN],
        **{f"mars_{name.replace(' ', '_')}": row["mars"][name] for name in MARS},
        "n_large": counts["large"],
        **row["burden"],
        "regions": row["regions"]["method"],
        "mask_volume_ml": row["quality"]["mask_volume_ml"],
        "median_intensity": row["quality"]["median_intensity"],
        **warning_columns(row),
    }


def cohort_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return :func:`participant` of each row, with ``qc``, for which all of them are needed."""
    flags = quality_flags(rows)
    return [participant(row) | {"qc": "; ".join(said) or "none"} for row, said in zip(rows, flags, strict=True)]


def write_participants(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write ``participants.tsv``: :func:`cohort_table` of the rows."""
    write_table(cohort_table([*rows]), PARTICIPANT_COLUMNS, path)


def write_table(rows: Iterable[Mapping[str, Any]], columns: Collection[str], path: str | os.PathLike[str]) -> None:
    """Write a row a scan, tab-separated, ``n/a`` for what a scan does not have; the folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", restval=UNKNOWN)
        table.writeheader()
        for row in rows:
            table.writerow({name: UNKNOWN if value is None else storable(str(value)) for name, value in row.items()})


def warning_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of what the user must be told of a scan, one line."""
    return {"n_warnings": len(row["warnings"]), "warnings": "; ".join(row["warnings"]) or None}


def failed_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a scan that failed; the reason is one line."""
    told = {"case": row["case"], "subject": row.get("subject"), "status": row["status"]}
    return {**told, "reason": " ".join(str(row["reason"]).split())}


def read_rows(out: Path, records: str = "*/*.json", table: str = "participants.tsv") -> list[dict[str, Any]]:
    """Return the rows of a cohort from its results: the JSON of each case, and what failed from the table of a run.

    A case that failed in that run stays failed, though an earlier run left a JSON.

    Args:
        out: folder of the results.
        records: pattern of the JSON files; those of another kind are left out.
        table: name of the table.

    Raises:
        InputError: there is neither.
    """
    rows, written = {}, {}
    for path in sorted(out.glob(records)):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and {"case", "counts", "threshold"} <= record.keys():
            rows[record["case"]], written[record["case"]] = {"status": "ok", **record}, path.stat().st_mtime
    if (out / table).exists():
        with (out / table).open(newline="", encoding="utf-8") as file:
            failed = [row for row in csv.DictReader(file, delimiter="\t") if row["status"] != "ok"]
        for row in failed:
            if written.get(row["case"], 0) < (out / table).stat().st_mtime:
                rows[row["case"]] = {name: row.get(name) for name in ("case", "subject", "status", "reason")}
    if not rows:
        raise InputError(f"folder '{out}' must hold results of `csvd detect`, it holds none: check the path.")
    return [rows[name] for name in sorted(rows)]
