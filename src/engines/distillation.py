"""Trainer and handlers of the discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import default_prepare_batch

from ..inferers import ReplaySampler
from ..networks import MultiTaskTeacher


class DistillationTrainer(SupervisedTrainer):
    """Supervised trainer whose target is the pair (label, teacher's logits).

    The loop is MONAI's own: only the preparation of a batch differs, so ``loss_function`` is called as
    ``loss_function(student_logits, (label, teacher_logits))``.

    Args:
        teacher: trained network, put in evaluation mode when the training starts; it does not learn. Without one, the
            target is the label alone.
        kwargs: arguments of :class:`monai.engines.SupervisedTrainer`, except ``prepare_batch``.
    """

    def __init__(self, *, teacher: MultiTaskTeacher | None, **kwargs: Any) -> None:
        super().__init__(prepare_batch=self._prepare_batch, **kwargs)
        self.teacher = teacher
        if teacher is not None:
            self.add_event_handler(Events.STARTED, lambda: teacher.eval())

    def _prepare_batch(self, batch: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> tuple:
        image, label = cast(tuple[torch.Tensor, torch.Tensor], default_prepare_batch(batch, *args, **kwargs))
        if self.teacher is None:
            return image, label
        with torch.no_grad():
            return image, (label, self.teacher.classify(image))


def teacher_batch(batch: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> tuple:
    """Return the patches of a batch, and what the teacher learns of them, for :class:`csvd.losses.MultiTaskLoss`.

    That is where microbleeds are, ``lesions`` (B, 1, h, w, d), and the student's labels, ``label`` (B,).
    """
    image, label = cast(tuple[torch.Tensor, torch.Tensor], default_prepare_batch(batch, *args, **kwargs))
    return image, (batch["lesions"].to(image.device), label)


def patch_output(output: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits (B, 2) and the labels (B,) of a batch, for Ignite metrics; a teacher's part is left out.

    That is its logits beside the labels of a student, and the logits of voxels before its own, those of patches.
    """
    predictions, targets = ([item[key] for item in output] for key in ("pred", "label"))
    logits = [one[-1] if isinstance(one, Sequence) else one for one in predictions]
    labels = [target[0] if isinstance(target, Sequence) else target for target in targets]
    return torch.stack(logits), torch.stack([torch.as_tensor(label) for label in labels])


def patch_odds(output: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-odds (B,) of a microbleed and the labels (B,) of a batch, see :func:`patch_output`."""
    logits, labels = patch_output(output)
    return logits[:, 1] - logits[:, 0], labels


def epoch_loss(engine: Engine) -> float:
    """Return the metric ``loss`` of an epoch, for schedulers that wait until it stops falling."""
    return float(engine.state.metrics["loss"])


class HardNegativeReplay:
    """Tell the sampler after each iteration which logits the discriminator gave the candidates of the batch.

    Batches hold ``index``, the outputs ``pred``, as for :func:`patch_output`.

    Args:
        sampler: that of the trainer's data loader.
    """

    def __init__(self, sampler: ReplaySampler) -> None:
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Look on ``ITERATION_COMPLETED``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Update the weights of the candidates of this iteration."""
        batch, output = (cast(list[Mapping[str, Any]], items) for items in (engine.state.batch, engine.state.output))
        index = torch.tensor([int(item["index"]) for item in batch])
        self.sampler.update(index, patch_odds(output)[0].float().sigmoid())
