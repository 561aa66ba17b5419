"""Tables with a row for each item of an evaluation."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..io.tables import write_table


class TableWriter(ABC):
    """Handler that writes the rows that a subclass collects, when an evaluation is complete.

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

    @abstractmethod
    def collect(self, engine: Engine) -> None:
        """Add the rows of a batch, all with the same columns."""

    def write(self) -> None:
        """Write the table."""
        write_table(self.rows, self.path)
