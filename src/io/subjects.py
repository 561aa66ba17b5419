"""Who was scanned: age, sex and subtype of small vessel disease."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform
from torch.utils.data import WeightedRandomSampler

from ..checks import InputError
from .datalist import load_datalist
from .json_files import read_json

logger = logging.getLogger(__name__)

SEXES = {"f": 0.0, "female": 0.0, "m": 1.0, "male": 1.0}
MISSING_VALUES = ("", "unknown", "n/a", "nan", "none")
AGES = (18, 110)


def read_age(value: Any, whose: str) -> float:
    """Return an age in years, NaN where it is not known, which may also be said by 0, as MONAI Label does.

    Raises:
        InputError: it is no number, or outside 18 to 110.
    """
    if value is None or value == 0 or str(value).strip().lower() in MISSING_VALUES:
        return math.nan
    try:
        age = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{whose}: age must be in years, it is {value!r}. Correct it or leave it out.") from None
    if not AGES[0] <= age <= AGES[1]:
        raise InputError(
            f"{whose}: age must be between {AGES[0]} and {AGES[1]} years, it is {value!r}. Correct it or leave it out."
        )
    return age


def read_sex(value: Any, whose: str) -> float:
    """Return 0 for female, 1 for male, NaN where it is not known, also where it is still the list of what there is.

    Raises:
        InputError: it is none of the words that are known.
    """
    word = "" if value is None else str(value).strip().lower()
    if isinstance(value, list) or word in MISSING_VALUES:
        return math.nan
    if word not in SEXES:
        raise InputError(f"{whose}: sex must be F, M or unknown, it is {value!r}. Correct it or leave it out.")
    return SEXES[word]


def read_subtype(item: Mapping[Hashable, Any], classes: Sequence[str]) -> int | None:
    """Return the index of the class of an item, None where it names none.

    It stands under ``csvd``, by name or by number, or in the JSON file that ``label`` names, see
    :class:`ReadSubjectd`.

    Raises:
        InputError: there is no such class.
    """
    value = with_answer(item).get("csvd")
    if value is None:
        return None
    names = [*map(str, classes), *map(str, range(len(classes)))]
    if str(value) not in names:
        raise InputError(f"{name_of(item)}: `csvd` must be one of {', '.join(classes)}, it is {value!r}. Correct it.")
    return names.index(str(value)) % len(classes)


def with_answer(item: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Return the item with what the JSON file under ``label`` says of the subject, if it names one, in its place."""
    out = dict(item)
    if str(out.get("label")).endswith(".json"):
        path = out.pop("label")
        record = read_json(path, f"label '{path}'")
        if not isinstance(record, dict):
            raise InputError(
                f"label '{path}' must hold `label`, age and sex by name, it is {record!r:.50}. Correct it."
            )
        out["csvd"] = record.get("label")
        out |= {key: record[key] for key in ("age", "sex") if key in record}
    return out


def name_of(item: Mapping[Hashable, Any]) -> str:
    """Return ``subject 'sub-001'``, or the image where the item names no subject."""
    image = item.get("image")
    path = getattr(image, "meta", {}).get("filename_or_obj", image)
    return f"subject '{item['subject']}'" if "subject" in item else f"image '{path}'"


class ReadSubjectd(Transform):
    """Make numbers of what an item says of its subject.

    Adds ``covariates`` (2,), age in years and sex, 0 female, 1 male, NaN where not known; and ``subtype``, the index of
    the class, where the item names one. The class, age and sex may also stand in a JSON file under ``label``, as MONAI
    Label keeps them: ``{"label": "CAA", "age": 70, "sex": "F"}``; ``label`` is then taken away, because elsewhere it
    is the microbleed mask.

    Args:
        classes: names of the subtypes.

    Raises:
        InputError: age outside 18 to 110 years, a sex or a subtype that is not known.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with both."""
        out = with_answer(data)
        whose = name_of(out)
        out["covariates"] = torch.tensor([read_age(out.get("age"), whose), read_sex(out.get("sex"), whose)])
        subtype = read_subtype(out, self.classes)
        if subtype is not None:
            out["subtype"] = torch.tensor(subtype)
        return out


def load_subjects(path: Any, section: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the items of a data list whose subjects have one of the classes, see :func:`load_datalist`.

    How many were left out is logged.

    Args:
        path: JSON, or several.
        section: section to read.
        classes: names of the subtypes.

    Raises:
        InputError: the list cannot be read, or nobody has one of the classes.
    """
    everyone = load_datalist(path, section)
    items = [item for item in everyone if item.get("csvd") in classes]
    if not items:
        found = sorted({str(item.get("csvd")) for item in everyone})
        raise InputError(
            f"data list '{path}': nobody under '{section}' has `csvd` {', '.join(classes)}, there are "
            f"{', '.join(found)}. Add the diagnoses."
        )
    if len(items) < len(everyone):
        logger.info(
            "left out %d of %d items, whose class is none of %s", len(everyone) - len(items), len(everyone), classes
        )
    return items


def balanced_sampler(items: Sequence[Mapping[Hashable, Any]], classes: Sequence[str]) -> WeightedRandomSampler:
    """Return a sampler that draws as many items as there are, with replacement, each class equally often.

    Args:
        items: of a data list, each with a class, see :func:`read_subtype`.
        classes: names of the subtypes.
    """
    subtypes = [read_subtype(item, classes) for item in items]
    counts = Counter(subtypes)
    return WeightedRandomSampler([1 / counts[subtype] for subtype in subtypes], len(subtypes))
