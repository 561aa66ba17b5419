"""The handlers that every training has: one group for its trainer, one for its evaluator, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.engines import Evaluator
from monai.handlers import (
    IgniteMetricHandler,
    LrScheduleHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..checks import check_positive
from .best import EarlyStop, SaveBest
from .distillation import epoch_loss
from .resume import Resume
from .stages import loss_of


class HandlerGroup:
    """Handlers that are attached one after the other. A config's list of handlers has the group as one item.

    Args:
        handlers: each has ``attach``; what is none is left out.
    """

    def __init__(self, *handlers: Any) -> None:
        self.handlers = [handler for handler in handlers if handler is not None]

    def attach(self, engine: Engine) -> None:
        """Attach each of them."""
        for handler in self.handlers:
            handler.attach(engine)


class TrainerHandlers(HandlerGroup):
    """Learning-rate schedule, average of the weights, validation, logs, early stop and resume, in this order.

    A resumed training gets back ``network``, ``optimizer``, ``lr_scheduler``, ``average``, ``best`` and ``state``.

    Args:
        network: the network that is trained.
        optimizer: its optimiser.
        lr_scheduler: schedule of the optimiser. ``ReduceLROnPlateau`` sees the trainer's metric "loss".
        resume: file of the state, see :class:`Resume`.
        seed: seed of the first epoch; each later epoch has one more.
        state: what else to keep in the file, by name.
        epoch_level: whether the schedule moves after each epoch, or after each iteration.
        average: moving average of the weights. Defaults to none.
        evaluator: runs the validation. Defaults to none.
        interval: epochs from one validation to the next.
        save_best: the evaluator's handler that keeps the best weights. Defaults to none.
        patience: epochs without progress after which the training stops. Defaults to never.
        tag_name: name of the loss in the logs.
        log_dir: folder of TensorBoard's log. Defaults to none.
        log_every: iterations from one line of the log to the next. TensorBoard gets every iteration.

    Raises:
        ValueError: ``log_every`` or ``patience`` is not positive, or there is ``patience`` and no evaluator.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: LRScheduler,
        resume: str,
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
        epoch_level: bool = True,
        average: EMAHandler | None = None,
        evaluator: Evaluator | None = None,
        interval: int = 1,
        save_best: SaveBest | None = None,
        patience: int | None = None,
        tag_name: str = "train_loss",
        log_dir: str | None = None,
        log_every: int = 1,
    ) -> None:
        if patience is not None and evaluator is None:
            raise ValueError(f"`patience` counts from the best validation: give an `evaluator` too, got {patience}.")
        kept = {"network": network, "optimizer": optimizer, "lr_scheduler": lr_scheduler, "best": save_best}
        kept |= {"average": None if average is None else average.ema_model, **(state or {})}
        super().__init__(
            _schedule(lr_scheduler, epoch_level),
            average,
            None if evaluator is None else ValidationHandler(interval, evaluator),
            *_logs_of_loss(tag_name, log_dir, log_every),
            None if evaluator is None or patience is None else EarlyStop(evaluator, patience),
            Resume(resume, {name: item for name, item in kept.items() if item is not None}, seed),
        )


class EvaluatorHandlers(HandlerGroup):
    """Logs of each validation's metrics, and the weights of the best.

    Args:
        log_dir: folder of TensorBoard's log. Defaults to none.
        save_best: keeps the best weights. Defaults to none.
    """

    def __init__(self, log_dir: str | None = None, save_best: SaveBest | None = None) -> None:
        super().__init__(
            StatsHandler(iteration_log=False),
            None if log_dir is None else TensorBoardStatsHandler(log_dir=log_dir, iteration_log=False),
            save_best,
        )


class ScanMetric(IgniteMetricHandler):
    """Metric of an evaluator over the predictions and labels of whole scans.

    Args:
        metric_fn: a metric of :mod:`csvd.metrics`, called with ``pred`` and ``label``.
    """

    def __init__(self, metric_fn: Any) -> None:
        super().__init__(metric_fn=metric_fn, output_transform=from_engine(["pred", "label"]))


def _schedule(lr_scheduler: LRScheduler, epoch_level: bool) -> LrScheduleHandler:
    """Return the handler that moves the schedule."""
    how: dict[str, Any] = {"step_transform": epoch_loss} if isinstance(lr_scheduler, ReduceLROnPlateau) else {}
    return LrScheduleHandler(cast(Any, lr_scheduler), print_lr=False, epoch_level=epoch_level, **how)


def _logs_of_loss(tag_name: str, log_dir: str | None, log_every: int) -> list[Any]:
    """Return the handlers that write the loss to the log, every so many iterations, and to TensorBoard."""
    check_positive("log_every", log_every)
    how: dict[str, Any] = {"tag_name": tag_name, "output_transform": loss_of}
    # MONAI's StatsHandler takes a number for True; a filter is understood.
    stats = StatsHandler(iteration_log=lambda engine, iteration: iteration % log_every == 0, **how)
    return [stats] if log_dir is None else [stats, TensorBoardStatsHandler(log_dir=log_dir, **how)]
