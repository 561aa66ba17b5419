"""Trainer of Mask R-CNN on slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer

Target = dict[str, torch.Tensor]


class DetectionTrainer(SupervisedTrainer):
    """Supervised trainer of torchvision's detectors, which compute their losses themselves.

    The loop is MONAI's own: the network is called as ``network(images, targets)``, and the loss is the sum of what it
    returns. Batches are lists of items, or of lists of items, as :func:`monai.data.utils.no_collation` leaves them,
    with ``image`` (3, H, W) and ``label``, from :class:`csvd.transforms.SliceTargetd`.

    Args:
        kwargs: arguments of :class:`monai.engines.SupervisedTrainer`, except ``prepare_batch``, ``loss_function`` and
            ``decollate``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(prepare_batch=prepare_slices, loss_function=total_loss, decollate=False, **kwargs)


def prepare_slices(
    batch: Iterable[Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[list[torch.Tensor], list[Target], tuple[list[Target]], dict]:
    """Return images and targets on the device, and the targets once more, which the network is called with."""
    items = [item for group in batch for item in (group if isinstance(group, list) else [group])]

    def moved(value: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(value).as_subclass(torch.Tensor).to(device, non_blocking=non_blocking, **kwargs)

    images = [moved(item["image"]) for item in items]
    targets = [{str(name): moved(value) for name, value in item["label"].items()} for item in items]
    return images, targets, (targets,), {}


def total_loss(losses: Mapping[str, torch.Tensor], targets: list[Target]) -> torch.Tensor:
    """Return the sum of the losses of class, box, mask, and of the proposals' class and box."""
    return torch.stack(list(losses.values())).sum()
