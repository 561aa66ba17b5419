"""Tables of lesions and of candidates on disk."""

import os
from collections.abc import Collection, Sequence

from ..lesions.table import KEPT, LESION_COLUMNS, Lesion, as_text
from .tables import write_table


def write_lesions(lesions: Sequence[Lesion], path: str | os.PathLike[str]) -> None:
    """Write a table with the columns :data:`csvd.lesions.LESION_COLUMNS`, see :func:`csvd.lesions.as_text`."""
    write_table([as_text(lesion) for lesion in lesions], path, LESION_COLUMNS)


def write_candidates(candidates: Sequence[Lesion], kept: Collection[int], path: str | os.PathLike[str]) -> None:
    """Write the same table of all candidates, and :data:`KEPT`: whether the id of each is in ``kept``."""
    rows = [as_text(candidate) | {"kept": int(candidate.id in kept)} for candidate in candidates]
    write_table(rows, path, [*LESION_COLUMNS, *KEPT])
