"""Ignite handler that writes which series is what."""

import csv
import os
from pathlib import Path
from typing import Any, cast

from ignite.engine import Engine, Events

from ..files import atomic_path

SERIES_COLUMNS = {
    "image": "file",
    "sequence": "what most slices look like, or 'unsure'",
    "probability": "mean over the slices, 0 to 1",
    "votes": "slices that look like it",
    "suitable": "mean probability of the sequences that the detector takes",
}


class SeriesTable:
    """Write a row a series, with :data:`SERIES_COLUMNS`, when an evaluation is complete; research use only.

    Args:
        path: the table, ``.tsv``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Collect on ``ITERATION_COMPLETED``, write on ``EPOCH_COMPLETED``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.rows.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def collect(self, engine: Engine) -> None:
        """Take the series of a batch."""
        for item in cast(list[dict], engine.state.output):
            values = {name: item[name] for name in SERIES_COLUMNS if name != "image"}
            rounded = {name: round(v, ndigits=3) if isinstance(v, float) else v for name, v in values.items()}
            self.rows.append({"image": item["image"].meta["filename_or_obj"], **rounded})

    def write(self) -> None:
        """Write the table."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(SERIES_COLUMNS), delimiter="\t", lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
