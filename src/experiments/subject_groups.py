"""Age, sex and other columns of subjects, one class beside the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import stats

from ..checks import InputError
from ..io.tables import is_number, read_table


def read_columns(path: Path, *needed: str) -> list[dict[str, str]]:
    """Return the rows of a table, tab-separated.

    Raises:
        InputError: the file is missing, has no rows, or lacks a column.
    """
    if not path.is_file():
        raise InputError(f"table '{path}' does not exist: check the path.")
    rows = read_table(path)
    columns = list(rows[0]) if rows else []
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            f"table '{path}' must have rows with the column '{missing[0]}', separated by tabs, its columns are "
            f"{columns}. Add it."
        )
    return rows


def cohort_rows(path: Path) -> list[dict[str, str]]:
    """Return a row a column of a table of subjects, by ``csvd``: mean and spread with ANOVA, or shares with chi-square.

    Columns whose values all differ and are no numbers, such as names, are left out.

    Raises:
        InputError: the table cannot be read.
    """
    rows = read_columns(path, "csvd")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["csvd"], []).append(row)
    table = [{"": "subjects", **{name: str(len(group)) for name, group in groups.items()}}]
    for column in rows[0]:
        values = {name: [row[column] for row in group if row[column]] for name, group in groups.items()}
        everything = [value for group in values.values() for value in group]
        if column == "csvd" or not everything:
            continue
        if all(map(is_number, everything)):
            table.append(_numbers_row(column, {name: np.array(group, float) for name, group in values.items()}))
        elif len(set(everything)) <= len(everything) / 2:
            table += _kinds_rows(column, values)
    return table


def _numbers_row(column: str, values: dict[str, np.ndarray]) -> dict[str, str]:
    cells = {name: f"{group.mean():.1f} +- {group.std(ddof=1):.1f}" for name, group in values.items() if len(group) > 1}
    p = stats.f_oneway(*values.values()).pvalue if len(cells) == len(values) > 1 else np.nan
    return {"": column, **cells, "p": f"{p:.3g} (ANOVA)"}


def _kinds_rows(column: str, values: dict[str, list[str]]) -> list[dict[str, str]]:
    kinds = sorted({value for group in values.values() for value in group})
    counts = np.array([[group.count(kind) for group in values.values()] for kind in kinds])
    p = stats.chi2_contingency(counts).pvalue if min(counts.shape) > 1 and counts.sum(axis=0).all() else np.nan
    shares = counts / counts.sum(axis=0).clip(min=1)
    rows = [
        {"": f"{column}: {kind}", **{name: f"{counts[i, j]} ({shares[i, j]:.0%})" for j, name in enumerate(values)}}
        for i, kind in enumerate(kinds)
    ]
    return [{**rows[0], "p": f"{p:.3g} (chi-square)"}, *rows[1:]]
