"""A bundle's evaluator, made anew for each scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monai.bundle import ComponentLocator, ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import Evaluator

_LOCATOR = ComponentLocator()
"""What finds MONAI's classes by name: it looks through all of MONAI once, a fifth of a second, not for each config."""


class SingleRun:
    """Make an evaluator for one scan, so that nothing of another scan can reach its result.

    Ignite keeps a run that an error broke, with its data, and goes on with it when the engine is run again. So
    evaluator, transforms and handlers are made anew from the config for each scan; the network alone is kept.

    Args:
        parser: config with ``network``, ``preprocessing`` and ``evaluator``.
    """

    def __init__(self, parser: ConfigParser) -> None:
        self.parser = parser
        parser.locator = _LOCATOR
        parser["dataset#data"] = []
        parser["network"] = parser.get_parsed_content("network")

    @contextmanager
    def __call__(self, item: Mapping[str, Any]) -> Iterator[Evaluator]:
        """Make an evaluator of one item, not yet run; its volumes are let go when the block ends."""
        evaluator = self.make(item)
        try:
            yield evaluator
        finally:
            evaluator.state.batch = evaluator.state.output = None

    def make(self, item: Mapping[str, Any]) -> Evaluator:
        """Return an evaluator of one item, which keeps its volumes."""
        self.parser.parse(reset=True)
        evaluator = self.parser.get_parsed_content("evaluator")
        # Not through the config, which would take a path that begins with "$" for code.
        dataset = Dataset([dict(item)], self.parser.get_parsed_content("preprocessing"))
        evaluator.data_loader = DataLoader(dataset, batch_size=1)
        evaluator.state.epoch_length = 1
        return evaluator
