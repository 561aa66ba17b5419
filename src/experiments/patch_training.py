"""Training of a discriminator on stored candidates: an epoch is quick, and the validation is the AUC of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.metrics import Average
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ROCAUC
from torch.utils.data import DataLoader, Dataset

from ..checks import check_between, check_positive
from ..engines import EvaluatorHandlers, SaveBest, SeedSampler, Stage, TrainerHandlers, load_weights, loss_of
from ..inferers import AutocastInferer
from .candidates import CandidateTable

LESION_SHARE = 0.25
BATCH = 128
SCALE = 0.3


class PatchBatches(Dataset):
    """Batches of candidates drawn at random, some of them microbleeds, shifted, mirrored and turned at random.

    An item of the data set is a whole batch, a dictionary: ``image`` (B, C, h, w, d) float32 and ``label`` (B,). Its
    key is a seed, see :class:`csvd.engines.SeedSampler`.

    Args:
        table: candidates, whose patches are at least as large as ``size``: room for shifts.
        size: of the patches of a batch, (h, w, d); turned in plane where h and w are alike.
        batch_size: patches of a batch.
        lesion_share: share of microbleeds. Defaults to a quarter.

    Raises:
        ValueError: there is no microbleed or no other candidate, or an argument is out of its range.
    """

    def __init__(
        self, table: CandidateTable, size: Sequence[int], batch_size: int = 32, lesion_share: float = LESION_SHARE
    ) -> None:
        check_positive("batch_size", batch_size)
        check_between("lesion_share", lesion_share, 0, 1)
        labels = torch.from_numpy(table.labels)
        if set(labels.tolist()) != {0, 1}:
            raise ValueError(f"cannot train on candidates of the classes {labels.unique().tolist()}: needs 0 and 1.")
        self.patches, self.labels, self.size = table.patches, labels, tuple(size)
        for have, want in zip(table.patches.shape[2:], self.size, strict=True):
            check_between("size", want, 1, have)
        self.kinds = [(labels == kind).nonzero()[:, 0] for kind in (1, 0)]
        lesions = max(1, round(lesion_share * batch_size))
        self.numbers = (lesions, max(1, batch_size - lesions))

    def __getitem__(self, seed: int) -> dict[str, torch.Tensor]:
        """Return the batch of a seed."""
        rng = torch.Generator().manual_seed(seed)
        chosen = torch.cat(
            [
                kind[torch.randint(len(kind), (n,), generator=rng)]
                for kind, n in zip(self.kinds, self.numbers, strict=True)
            ]
        )
        image = torch.stack([self._moved(self.patches[index], rng) for index in chosen]).float()
        scale = 1 + SCALE * (2 * torch.rand((*image.shape[:2], 1, 1, 1), generator=rng) - 1)
        return {"image": image * scale, "label": self.labels[chosen]}

    def _moved(self, patch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return a part (C, h, w, d) of a patch, mirrored and turned."""
        for axis, size in enumerate(self.size, start=1):
            first = int(torch.randint(patch.shape[axis] - size + 1, (1,), generator=rng))
            patch = patch.narrow(axis, first, size)
        *mirrored, turned = torch.rand(4, generator=rng) < 0.5
        patch = patch.flip([axis for axis, flip in enumerate(mirrored, start=1) if flip])
        return patch.transpose(1, 2) if turned and self.size[0] == self.size[1] else patch


def middles(table: CandidateTable, size: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    """Return the middle parts, of ``size``, of the patches of all candidates, in batches with their labels."""
    patches = table.patches
    for axis, want in enumerate(size, start=2):
        patches = patches.narrow(axis, (patches.shape[axis] - want) // 2, want)
    parts = zip(patches.split(BATCH), torch.from_numpy(table.labels).split(BATCH), strict=True)
    return [{"image": image.float(), "label": label} for image, label in parts]


def train_on_candidates(
    parser: ConfigParser,
    training: CandidateTable,
    validation: CandidateTable,
    path: Path,
    start: Path | None = None,
    lesion_share: float = LESION_SHARE,
) -> dict[str, Any]:
    """Train the discriminator of a config until the AUC of validation candidates stops rising; keep the best weights.

    A training that was stopped goes on after the last whole epoch.

    Args:
        parser: of ``train_paper.json``; gives network, optimiser, schedule, size of patches and batches, samples of an
            epoch, and most epochs; and ``patience``, epochs without a higher AUC after which the training stops.
        training: candidates to learn from.
        validation: of other subjects.
        path: file of the weights; beside it, ``resume.pt``.
        start: weights to begin with. Defaults to random ones.
        lesion_share: share of microbleeds in a batch. Defaults to a quarter.

    Returns:
        ``AUC`` of the best epoch, ``best epoch``, ``epochs``, and whether the AUC had stopped rising (``converged``).
    """
    parser.get_parsed_content("initialize")
    network, patience = (parser.get_parsed_content(name) for name in ("student#network", "patience"))
    _channels_last(network)
    best = SaveBest(network, str(path))
    evaluator = _evaluator(parser, validation, best)
    trainer = _trainer(parser, training, evaluator, best, lesion_share)
    Stage(network, trainer, str(path), save_best=best, builds_on=[] if start is None else [(network, str(start))]).run()
    epochs, best_epoch = trainer.state.epoch, evaluator.state.best_metric_epoch
    return {
        "AUC": float(evaluator.state.best_metric),
        "best epoch": best_epoch,
        "epochs": epochs,
        "converged": epochs - best_epoch >= patience,
    }


def _evaluator(parser: ConfigParser, validation: CandidateTable, best: SaveBest) -> SupervisedEvaluator:
    """Return what measures the AUC of the validation candidates and keeps the best weights."""
    network, device, size = (parser.get_parsed_content(name) for name in ("student#network", "device", "patch_size"))
    return SupervisedEvaluator(
        device=device,
        val_data_loader=middles(validation, size),
        network=network,
        key_val_metric={"auc": ROCAUC(output_transform=odds_and_labels)},
        val_handlers=[EvaluatorHandlers(save_best=best)],
        decollate=False,
    )


def _trainer(
    parser: ConfigParser, training: CandidateTable, evaluator: SupervisedEvaluator, best: SaveBest, lesion_share: float
) -> SupervisedTrainer:
    """Return the training of the discriminator on batches of candidates."""
    value = parser.get_parsed_content
    network, optimizer, batch_size = (
        value(f"student#{name}") for name in ("network", "optimizer", "dataloader#batch_size")
    )
    batches = DataLoader(
        PatchBatches(training, value("patch_size"), batch_size, lesion_share),
        sampler=SeedSampler(max(1, value("student#sampler#num_samples") // batch_size)),
        batch_size=None,
    )
    handlers = TrainerHandlers(
        network,
        optimizer,
        value("student#lr_scheduler"),
        str(best.path.with_name("resume.pt")),
        seed=value("seed"),
        evaluator=evaluator,
        save_best=best,
        patience=value("patience"),
        log_every=len(batches),
    )
    return SupervisedTrainer(
        device=value("device"),
        max_epochs=value("student#trainer#max_epochs"),
        train_data_loader=batches,
        network=network,
        optimizer=optimizer,
        inferer=AutocastInferer(),
        loss_function=torch.nn.CrossEntropyLoss(),
        key_train_metric={"loss": Average(output_transform=loss_of)},
        train_handlers=[handlers],
        decollate=False,
    )


def _channels_last(network: Any) -> None:
    """Lay out the weights of a network of 3-D convolutions as CPUs are fastest with."""
    if any(weights.ndim == 5 for weights in network.parameters()):
        network.to(memory_format=torch.channels_last_3d)


def odds_and_labels(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-odds (B,) and the labels (B,) of an output with logits (B, 2) under ``pred``."""
    logits = output["pred"]
    return logits[:, 1] - logits[:, 0], output["label"]


def candidate_odds(parser: ConfigParser, table: CandidateTable, path: Path) -> np.ndarray:
    """Return the log-odds (N,) of candidates by the discriminator of a config with the weights of a file."""
    network, device, size = (parser.get_parsed_content(name) for name in ("student#network", "device", "patch_size"))
    load_weights(network, path)
    _channels_last(network.eval())
    with torch.inference_mode():
        parts = [network(batch["image"].to(device)).cpu() for batch in middles(table, size)]
    logits = torch.cat(parts)
    return (logits[:, 1] - logits[:, 0]).numpy()
