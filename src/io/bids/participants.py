"""The table of the participants of a BIDS folder: age and sex, read with care where spreadsheets saved others."""

from __future__ import annotations

import codecs
import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

People = dict[str, tuple[dict[str, Any], list[str]]]
AGE = re.compile(r"(\d+(?:[.,]\d+)?)\+?")  # "89+" hides the age of the oldest
OLDEST = 120.0


def read_participants(path: Path) -> tuple[People, list[str]]:
    """Return age and sex of each participant, where they are known, with warnings, and warnings of the whole table.

    The table may be in any Unicode encoding and have commas or semicolons in place of tabs. What two rows of one
    participant say differently is not known.

    Args:
        path: of ``participants.tsv``, which may be missing.
    """
    name = f"table '{path}'"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        lost = f"{name} is a link to content that is not here: ages and sexes are not known. `datalad get` gets it"
        return {}, [lost] if path.is_symlink() else []
    except OSError as error:
        return {}, [f"{name} cannot be read ({error.strerror}): ages and sexes are not known"]
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    lines = content.decode("utf-16" if wide else "utf-8-sig", errors="replace").replace("\0", "").splitlines()
    head = lines[0] if lines else ""
    try:
        table = list(csv.reader(lines, delimiter=max("\t,;", key=head.count)))
    except csv.Error as error:
        return {}, [f"{name} cannot be read ({error}): ages and sexes are not known"]
    columns = [column.strip().lower() for column in table[0]] if table else []
    if "participant_id" not in columns:
        return {}, [f"{name} must have a column participant_id, it has {columns}: ages and sexes are not known"]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in table[1:]:
        row = dict(zip(columns, line, strict=False))
        rows[f"sub-{row['participant_id'].strip().removeprefix('sub-')}"].append(row)
    return {person: _known(person, found, name) for person, found in rows.items()}, []


def _known(person: str, rows: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], list[str]]:
    """Return what all rows of a person say, and a warning for each column in which they differ."""
    collected: dict[str, set[Any]] = defaultdict(set)
    for row in rows:
        for column, value in _values(row):
            collected[column].add(value)
    differing = [column for column, values in collected.items() if len(values) > 1]
    warnings = [
        f"{name} says {column} {' and '.join(map(str, sorted(collected[column])))} of '{person}', which was not used"
        for column in differing
    ]
    return {column: values.pop() for column, values in collected.items() if column not in differing}, warnings


def _values(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    age, sex = (str(row.get(column, "")).strip() for column in ("age", "sex"))
    match = AGE.fullmatch(age)
    years = float(match[1].replace(",", ".")) if match else OLDEST + 1
    if years <= OLDEST:
        yield "age", years
    if sex.lower() in ("m", "male", "f", "female"):
        yield "sex", sex[0].upper()
