"""How many microbleeds, and in which pattern: words that literature counts in, none of which is a diagnosis."""

from collections.abc import Mapping

from ..anatomy.regions import REGIONS

UNKNOWN = "n/a"
COUNT_RANGES = {0: "0", 1: "1", 2: "2 to 4", 5: "5 to 10", 11: "> 10"}
ARIA_H_RANGES = {0: "none", 1: "1 to 4", 5: "5 to 9", 10: ">= 10"}
"""From each lowest number on: the ranges in which studies of ARIA-H (amyloid-related imaging abnormalities) count.

A spreadsheet would read 2-4 as a date.
"""
BURDEN_COLUMNS = {
    "count_range": f"range of the number of suspected microbleeds: {', '.join(COUNT_RANGES.values())}",
    "aria_h_range": f"count range of ARIA-H scales: {', '.join(ARIA_H_RANGES.values())}; a number, not a finding",
    "pattern": "strictly lobar, strictly deep or infratentorial, mixed, or none; n/a: not a whole brain",
}
"""What the parts of :func:`burden` hold."""


def burden(counts: Mapping[str, int]) -> dict[str, str]:
    """Return ``count_range``, ``aria_h_range`` and ``pattern`` of the counts of :func:`count_lesions`."""
    total = counts["total"]
    return {
        "count_range": _range_of(total, COUNT_RANGES),
        "aria_h_range": _range_of(total, ARIA_H_RANGES),
        "pattern": _pattern(counts),
    }


def _range_of(number: int, ranges: Mapping[int, str]) -> str:
    return ranges[max(lowest for lowest in ranges if lowest <= number)]


def _pattern(counts: Mapping[str, int]) -> str:
    if not counts["total"]:
        return "none"
    if counts[UNKNOWN]:
        return UNKNOWN
    elsewhere = sum(counts[region] for region in REGIONS if region != "lobar")
    if not elsewhere:
        return "strictly lobar"
    return "mixed" if counts["lobar"] else "strictly deep or infratentorial"
