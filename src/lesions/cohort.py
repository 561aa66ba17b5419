"""Row of a scan in the table of a cohort, also of one that failed."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..anatomy.mars import MARS
from ..anatomy.regions import REGIONS
from .burden import BURDEN_COLUMNS, UNKNOWN
from .quality import quality_flags

COHORT_COLUMNS: dict[str, str] = {
    "case": "name of the scan and of its folder",
    "subject": "person who was scanned, from BIDS or a data list",
    "status": "ok or failed",
    "reason": "reason of the failure",
    "qc": "reasons to review this scan first: failed, warnings, or outlier by a robust z-score; none: no reason",
    "n_lesions": "number of suspected microbleeds",
    **{f"n_{region}": f"of them {region}, approximate" for region in REGIONS},
    "n_no_region": "of them without a region, because the scan does not show a whole brain",
    **{f"mars_{name.replace(' ', '_')}": f"of them {name} of the rating scale, approximate" for name in MARS},
    "n_large": "lesions longer than 10 mm, by definition not microbleeds (macrobleed, cavernoma?), in no other count",
    **BURDEN_COLUMNS,
    "regions": "method of the regions: registration, bounding box (less exact) or none",
    "mask_volume_ml": "volume of the brain mask, ml",
    "median_intensity": "median of the scan in the brain mask, in the unit of the file",
    "n_warnings": "number of warnings",
    "warnings": "text of the warnings",
}
"""Columns of ``cohort.tsv``, in order, and their content."""


def cohort_row(row: Mapping[str, Any]) -> dict[str, Any]:
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
    """Return :func:`cohort_row` of each row, with ``qc``, for which all of them are needed."""
    flags = quality_flags(rows)
    return [cohort_row(row) | {"qc": "; ".join(reasons) or "none"} for row, reasons in zip(rows, flags, strict=True)]


def warning_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of what the user must be told of a scan, one line."""
    lines = (" ".join(warning.split()) for warning in row["warnings"])
    return {"n_warnings": len(row["warnings"]), "warnings": "; ".join(lines) or None}


def failed_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a scan that failed; the reason is one line."""
    columns = {"case": row["case"], "subject": row.get("subject"), "status": row["status"]}
    return {**columns, "reason": " ".join(str(row["reason"]).split())}
