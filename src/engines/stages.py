"""Trainings that follow each other: detector, teacher, student."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer

from .best import SaveBest
from .distributed import is_first
from .weights import load_weights, save_weights

logger = logging.getLogger(__name__)


class Step(Protocol):
    """What :class:`Stages` runs."""

    def run(self) -> None:
        """Do all of it."""


class Stage:
    """One training, which ends with the weights of its network in a file of their own.

    Args:
        network: what is trained.
        trainer: trains it; its ``Resume`` handler, if it has one, goes on where a killed training was.
        path: file that gets the bare state dict.
        weights: finished weights to take instead: nothing is trained.
        save_best: the validation's handler, which writes to ``path`` as well. Its best weights are taken; without one,
            or if no epoch was validated, the last.
        builds_on: pairs of a network and the file of its finished weights, loaded first: those of earlier stages.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        trainer: Trainer,
        path: str,
        weights: str | None = None,
        save_best: SaveBest | None = None,
        builds_on: Sequence[tuple[torch.nn.Module, str]] = (),
    ) -> None:
        self.network = network
        self.trainer = trainer
        self.path = Path(path)
        self.weights = weights
        self.save_best = save_best
        self.builds_on = builds_on
        trainer.add_event_handler(Events.ITERATION_COMPLETED, check_loss)

    def run(self) -> None:
        """Train, or take the weights that are given.

        Raises:
            FileNotFoundError: there is no file ``weights``, or one that the stage builds on.
            RuntimeError: the loss is no number any more.
        """
        for network, weights in self.builds_on:
            load_weights(network, weights)
        if self.weights is not None:
            load_weights(self.network, self.weights)
            save_weights(self.network, self.path)
            logger.info("took %s for %s: not trained", self.weights, self.path.name)
            return
        self.trainer.run()
        if self.save_best is not None and self.save_best.validated:
            load_weights(self.network, self.path)
        else:
            save_weights(self.network, self.path)


def loss_of(output: Any) -> float:
    """Return the loss of an iteration from a trainer's output, a mapping or, decollated, a list of them."""
    first = output[0] if isinstance(output, list) else output
    return float(torch.as_tensor(first["loss"]).detach())


def check_loss(engine: Engine) -> None:
    """Stop a training whose loss is infinite or no number, before it keeps such weights.

    Raises:
        RuntimeError: it is.
    """
    loss = loss_of(engine.state.output)
    if not math.isfinite(loss):
        raise RuntimeError(
            f"the loss is {loss} in iteration {engine.state.iteration}, epoch {engine.state.epoch}, and must be "
            "a finite number: lower the learning rate, or train in single precision. The same command resumes after "
            "the last whole epoch."
        )


class Stages:
    """Run one step after the other; when all have ended, forget how to resume, so that the next run starts afresh.

    Args:
        steps: stages, and what follows them.
        resume_files: those of the ``Resume`` handlers of all stages, and folders of what else is kept to resume.
    """

    def __init__(self, steps: Sequence[Step], resume_files: Sequence[str]) -> None:
        self.steps = steps
        self.resume_files = [Path(path) for path in resume_files]

    def run(self) -> None:
        """Run all steps."""
        for step in self.steps:
            step.run()
        if is_first():
            for path in self.resume_files:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
