"""Keep the weights of the best validation, and stop when it no longer improves."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from ..checks import check_positive
from .weights import save_weights

logger = logging.getLogger(__name__)


class SaveBest:
    """Write the network's bare state dict whenever the evaluator's key metric is the best so far.

    MONAI's ``CheckpointSaver`` forgets the best value when a training is resumed and writes in place; this one can be
    part of the state that :class:`Resume` keeps, and renames. A metric that is no number is never the best; MONAI takes
    it for that when it comes first. Those of :mod:`csvd.metrics` always are, on scans without lesions too.

    Args:
        network: the network to save.
        path: the file, for example ``models/model.pt``.
    """

    def __init__(self, network: torch.nn.Module, path: str) -> None:
        self.network = network
        self.path = Path(path)

    def attach(self, engine: Evaluator) -> None:
        """Look at the key metric on ``EPOCH_COMPLETED``."""
        self.state = engine.state
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Evaluator) -> None:
        """Save if this epoch is the best: MONAI's evaluator has already compared."""
        if self.state.best_metric_epoch != self.state.epoch:
            return
        if math.isnan(self.state.best_metric):
            self.state.best_metric_epoch = -1
            logger.warning("%s is no number on these validation scans: no weights chosen", self.state.key_metric_name)
            return
        save_weights(self.network, self.path)
        logger.info("best %s so far, %.4f: saved %s", self.state.key_metric_name, self.state.best_metric, self.path)

    @property
    def validated(self) -> bool:
        """Whether there has been a best epoch: its weights are in the file."""
        return self.state.best_metric_epoch > 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far and its epoch."""
        return {"metric": float(self.state.best_metric), "epoch": self.state.best_metric_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the best value of an earlier run."""
        self.state.best_metric, self.state.best_metric_epoch = state["metric"], state["epoch"]


class EarlyStop:
    """Stop a trainer whose validation has not improved for some epochs.

    Unlike MONAI's ``EarlyStopHandler``, which sits in the evaluator and so refers back to the trainer, it sits in the
    trainer's handlers, after ``ValidationHandler``; a config can then name it.

    Args:
        evaluator: the validation, whose key metric counts.
        patience: epochs to wait. Defaults to 20, as in Sundaresan et al. 2023, section 2.6.

    Raises:
        ValueError: ``patience`` is not positive.
    """

    def __init__(self, evaluator: Evaluator, patience: int = 20) -> None:
        check_positive("patience", patience)
        self.evaluator = evaluator
        self.patience = patience

    def attach(self, engine: Engine) -> None:
        """Look on ``EPOCH_COMPLETED`` of the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Stop the trainer when the best epoch is ``patience`` epochs ago."""
        best_epoch = self.evaluator.state.best_metric_epoch
        if 0 < best_epoch <= engine.state.epoch - self.patience:
            logger.info("no progress since epoch %d: stopped", best_epoch)
            engine.terminate()
