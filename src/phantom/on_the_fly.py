"""Subjects that are simulated while a network learns from them, in place of files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from ..checks import check_one_of, check_positive
from .protocols import PROTOCOLS
from .subject import Subject, simulate_subject

_simulate = lru_cache(maxsize=4)(simulate_subject)  # image, label and mask of a subject are asked for one by one


class SimulatedSubjects(Sequence[dict[str, Any]]):
    """Items of a data list without files: :class:`SimulationReader` simulates what it is asked for.

    Each subject shows one of its contrasts, in turn. :meth:`show` moves on to subjects that have not been seen.

    Args:
        preset: key of :data:`csvd.phantom.PROTOCOLS`.
        seed: of the cohort.
        subjects: how many.

    Raises:
        ValueError: no such preset, or no subject.
    """

    def __init__(self, preset: str, seed: int, subjects: int) -> None:
        check_one_of("preset", preset, PROTOCOLS)
        check_positive("subjects", subjects)
        self.preset, self.seed, self.subjects = preset, seed, subjects
        self.first = 0

    def show(self, epoch: int) -> None:
        """Hold the subjects of an epoch, counted from 0."""
        self.first = epoch * self.subjects

    def __len__(self) -> int:
        return self.subjects

    def __getitem__(self, index: Any) -> Any:
        """Return the item of a subject: names under ``image``, ``label`` and ``mask``, and its ``contrast``."""
        if not 0 <= index < self.subjects:
            raise IndexError(index)
        number = self.first + index
        kinds = PROTOCOLS[self.preset].contrasts
        kind = kinds[number % len(kinds)]
        folder = f"{self.preset}/{self.seed}/{number}"
        return {
            "image": f"{folder}/{kind}",
            "label": f"{folder}/label",
            "mask": f"{folder}/mask",
            "subject": folder,
            "contrast": "bright" if kind == "qsm" else "dark",
        }


class FreshSubjects:
    """Handler that moves simulated subjects on to those of the epoch that begins, so that none is seen twice.

    Args:
        subjects: what the training reads.
    """

    def __init__(self, subjects: SimulatedSubjects) -> None:
        self.subjects = subjects

    def attach(self, engine: Engine) -> None:
        """Act on ``EPOCH_STARTED``; a resumed training goes on with the subjects of its epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda: self.subjects.show(engine.state.epoch - 1))


class SimulationReader(ImageReader):
    """Reader for ``LoadImaged`` that simulates the volumes which :class:`SimulatedSubjects` names.

    Args:
        device: where field and signal are computed.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.device = str(device)

    def verify_suffix(self, filename: Any) -> bool:
        """Take every name."""
        return True

    def read(self, data: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return volume, (H, W, D), and affine, (4, 4) voxel to RAS mm.

        Raises:
            ValueError: the name is of no simulated volume.
        """
        parts = PurePath(ensure_tuple(data)[0]).parts
        if len(parts) != 4 or parts[0] not in PROTOCOLS:
            raise ValueError(f"'{data}' is no simulated volume: give names like 'random/0/12/swi'.")
        preset, seed, number, kind = parts
        subject: Subject = _simulate(PROTOCOLS[preset], int(seed), int(number), device=self.device)
        return subject.images[kind] if kind in subject.images else getattr(subject, kind), subject.affine

    def get_data(self, img: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the volume with MONAI's meta data."""
        volume, affine = img
        meta: dict[Any, Any] = {
            MetaKeys.AFFINE: affine.numpy(),
            MetaKeys.ORIGINAL_AFFINE: affine.numpy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.array(volume.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's word for none
        }
        return volume.numpy(), meta
