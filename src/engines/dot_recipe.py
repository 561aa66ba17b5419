"""The step of a bundle that trains its classifiers of dark foci: from data lists to ``model.pt``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.data.utils import affine_to_spacing
from monai.utils import convert_to_tensor

from ..checks import check_positive
from ..networks.patch_classifier import PatchClassifier
from ..networks.patch_ensemble import PatchEnsemble
from ..planes import slice_axis
from .background_bank import Background, read_background, write_background
from .dot_training import Sampler, train_dots

Item = Mapping[str, Any]


def fill_bank(
    folder: Path, items: Sequence[Item], preprocessing: Callable[[Item], dict[str, torch.Tensor]]
) -> list[Background]:
    """Write scans into a bank, those that are not in it already, and return them.

    Args:
        folder: of the bank.
        items: of a data list: ``image``, and, where there are any, ``mask``, ``label`` and ``contrast``.
        preprocessing: gives ``image`` relative to its tissue and ``mask`` closed, both (1, H, W, D), and a ``label``.
    """
    scans: list[Background] = []
    for item in items:
        path = os.fspath(item["image"])
        name = f"{Path(path).name.split('.')[0]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
        if not (folder / name / "scan.json").exists():
            _write(folder, name, preprocessing(item), seed=len(scans))
        scans.append(read_background(folder / name))
    return scans


def _write(folder: Path, name: str, data: Mapping[str, torch.Tensor], seed: int) -> None:
    """Write a preprocessed scan into the bank, its slices along the last axis."""
    spacing = affine_to_spacing(getattr(data["image"], "affine", torch.eye(4))).tolist()
    axis = slice_axis(spacing)
    order = [k for k in range(3) if k != axis] + [axis]
    parts = {
        key: convert_to_tensor(data[key], track_meta=False)[0].permute(order).contiguous()
        for key in ("image", "mask", "label")
        if key in data
    }
    rows, columns, slices = (spacing[k] for k in order)
    write_background(
        folder, name, parts["image"].float(), parts["mask"] > 0, (rows, columns, slices), parts.get("label"), seed
    )


class DotTraining:
    """Trains the members of an ensemble one after the other, resumable, and saves the ensemble.

    Args:
        network: what ``model.pt`` holds.
        sources: items of data lists by name, for example of real backgrounds and of simulated scans.
        shares: how often each source is drawn; they are taken relative to their sum.
        preprocessing: of an item, see :func:`fill_bank`.
        bank_dir: where scans are kept for training, 10 to 100 MB each.
        path: of ``model.pt``; states to resume from lie beside it.
        updates: of each member.
        seed: of the first member; the next ones have the next seeds.
        batch_size, learning_rate, autocast: see :func:`train_dots`.

    Raises:
        ValueError: ``updates`` is not positive, or a source has no share.
    """

    def __init__(
        self,
        network: PatchEnsemble,
        sources: Mapping[str, Sequence[Item]],
        shares: Mapping[str, float],
        preprocessing: Callable[[Item], dict[str, torch.Tensor]],
        bank_dir: str | os.PathLike[str],
        path: str | os.PathLike[str],
        updates: int = 12000,
        seed: int = 0,
        batch_size: int = 96,
        learning_rate: float = 2e-3,
        autocast: bool = False,
    ) -> None:
        check_positive("updates", updates)
        missing = sorted(set(sources) - set(shares))
        if missing:
            raise ValueError(f"`shares` must have a share for each source, {missing} have none.")
        self.network, self.sources, self.shares, self.preprocessing = network, sources, shares, preprocessing
        self.bank_dir, self.path = Path(bank_dir), Path(path)
        self.updates, self.seed = updates, seed
        self.options: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "autocast": autocast}

    def run(self) -> None:
        """Fill the bank, train, and write ``model.pt``."""
        backgrounds: list[Background] = []
        weights: list[float] = []
        for name, items in self.sources.items():
            scans = [scan for scan in fill_bank(self.bank_dir, items, self.preprocessing) if len(scan.dots)]
            backgrounds += scans
            weights += [self.shares[name] / max(1, len(scans))] * len(scans)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for number, member in enumerate(self.network.members):
            seed = self.seed + number
            torch.manual_seed(seed)
            state = self.path.with_name(f"resume_{number}.pt")
            sampler = Sampler(backgrounds, np.array(weights), seed)
            average = train_dots(cast(PatchClassifier, member), sampler, state, self.updates, seed=seed, **self.options)
            member.load_state_dict(average.state_dict())
        torch.save(self.network.eval().state_dict(), self.path)
