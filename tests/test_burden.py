"""Count ranges and patterns: each number has its range, each distribution its word."""

import pytest

from csvd.lesions import burden


def counts(lobar=0, deep=0, infratentorial=0, unknown=0):
    parts = {"lobar": lobar, "deep": deep, "infratentorial": infratentorial, "n/a": unknown}
    return {"total": sum(parts.values()), **parts}


@pytest.mark.parametrize(
    ("number", "count_range", "aria_h_range"),
    [
        *(
            (0, "0", "none"),
            (1, "1", "1 to 4"),
            (2, "2 to 4", "1 to 4"),
            (4, "2 to 4", "1 to 4"),
            (5, "5 to 10", "5 to 9"),
        ),
        *((9, "5 to 10", "5 to 9"), (10, "5 to 10", ">= 10"), (11, "> 10", ">= 10"), (300, "> 10", ">= 10")),
    ],
)
def test_a_number_has_its_ranges(number, count_range, aria_h_range):
    said = burden(counts(lobar=number))
    assert (said["count_range"], said["aria_h_range"]) == (count_range, aria_h_range)


@pytest.mark.parametrize(
    ("parts", "pattern"),
    [
        ({}, "none"),
        ({"lobar": 3}, "strictly lobar"),
        ({"deep": 2}, "strictly deep or infratentorial"),
        ({"infratentorial": 1}, "strictly deep or infratentorial"),
        ({"deep": 1, "infratentorial": 1}, "strictly deep or infratentorial"),
        ({"lobar": 1, "infratentorial": 1}, "mixed"),
        ({"unknown": 2}, "n/a"),
    ],
)
def test_a_distribution_has_its_word(parts, pattern):
    assert burden(counts(**parts))["pattern"] == pattern
