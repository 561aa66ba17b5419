"""A bundle's evaluator, made anew for each scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import Evaluator


class SingleRun:
    """Make an evaluator for one scan, so that nothing of another scan can reach its result.

    Ignite keeps a run that an error broke, with its data, and goes on with it when the engine is run again. So
    evaluator, transforms and handlers are made anew from the config for each scan; the network alone is kept.

    Args:
        parser: config with ``network``, ``preprocessing`` and ``evaluator``.
    """

    def __init__(self, parser: ConfigParser) -> None:
        self.parser = parser
        parser["dataset#data"] = []
        parser["network"] = parser.get_parsed_content("network")

    def __call__(self, item: Mapping[str, Any]) -> Evaluator:
        """Return an evaluator of one item, not yet run."""
        self.parser.parse(reset=True)
        evaluator = self.parser.get_parsed_content("evaluator")
        # Not through the config, which would take a path that begins with "$" for code.
        dataset = Dataset([dict(item)], self.parser.get_parsed_content("preprocessing"))
        evaluator.data_loader = DataLoader(dataset, batch_size=1)
        evaluator.state.epoch_length = 1
        return evaluator
