"""Resume a training that was killed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.transforms import Randomizable

from .weights import save_state

logger = logging.getLogger(__name__)

RANK_STEP = 1_000_003  # so that no two processes draw the same


class Resume:
    """Save the whole state of a training after each epoch, and go on from it when it is started again.

    The file is replaced by renaming, so a kill while it is written leaves the previous epoch's. The state is loaded
    when the training starts; a training whose last epoch is on file ends at once. Each epoch is given its own seed, so
    that a training that was killed ends like one that was not.

    Args:
        path: the file, for example ``runs/resume.pt``. Delete it to start afresh.
        state: what to keep, by name; each value has ``state_dict`` and ``load_state_dict``.
        seed: of the first epoch; the next has one more.
    """

    def __init__(self, path: str, state: Mapping[str, Any], seed: int = 0) -> None:
        self.path = Path(path)
        self.state = state
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Load on ``STARTED``, seed on ``EPOCH_STARTED``, save on ``EPOCH_COMPLETED``."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_STARTED, self.draw)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Restore networks, optimisers, schedules and the number of the last epoch, if there is a file.

        A trainer that has run already goes on from what it holds: between the rounds of a federation, its weights are
        the server's.
        """
        if engine.state.epoch > 0 or not self.path.exists():
            return
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, item in self.state.items():
            item.load_state_dict(saved[name])
        engine.state.epoch = saved["epoch"]
        engine.state.iteration = saved["epoch"] * (engine.state.epoch_length or 0)
        logger.info("resumed from %s after epoch %d", self.path, saved["epoch"])

    def draw(self, engine: Engine) -> None:
        """Seed the order of the data, its random transforms and the network's dropout for this epoch."""
        seed = self.seed + engine.state.epoch + RANK_STEP * idist.get_rank()
        torch.manual_seed(seed)
        data = engine.state.dataloader
        transform = getattr(getattr(data, "dataset", None), "transform", None)
        if isinstance(transform, Randomizable):
            transform.set_random_state(seed=seed)
        engine.set_data(cast(Iterable, data))  # a new iterator, because the old one may have drawn its order already
        if getattr(data, "persistent_workers", False):
            torch.manual_seed(seed)  # their start alone, in the first epoch of a process, draws a number

    def save(self, engine: Engine) -> None:
        """Write the state of the epoch that has just ended."""
        state = {name: item.state_dict() for name, item in self.state.items()}
        save_state({**state, "epoch": engine.state.epoch}, self.path)
