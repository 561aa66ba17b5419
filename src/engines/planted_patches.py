"""Patches to train on, cut from scans and planted afresh in each batch: none is seen twice."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch.utils.data import Dataset, Sampler

from ..checks import check_between, check_positive
from ..planting.draws import Draws
from ..planting.patches import Kind, plant_patches
from .background_bank import REACH, BankedScan, fill_bank

SHARES = {Kind.NOTHING: 0.40, Kind.MICROBLEED: 0.38, Kind.VESSEL: 0.09, Kind.FLOW_VOID: 0.07, Kind.NUCLEUS: 0.06}
HARDEST_OF = 8
HARD_SHARE = 0.6
BRIGHTEST_OF = 24


class Cut(NamedTuple):
    """One patch before planting.

    Args:
        patch: (5, 64, 64) float16.
        spacing_mm: between slices, as the patch is taken to be.
        thin: whether the outer slices are means.
        kind: what is planted into it, of :class:`csvd.planting.Kind`.
        own: whether it shows a microbleed of the scan itself.
        focus: number of the dark focus that it shows, -1 for none.
    """

    patch: np.ndarray
    spacing_mm: float
    thin: bool
    kind: Kind
    own: bool
    focus: int


class PlantedPatches(Dataset):
    """Batches of patches of scans, half of them with microbleeds, planted ones or the scan's own.

    The others show dark foci of the scans, those more often that fooled the network (:class:`ReplayHardFoci`), or have
    mimics planted: vessels, flow voids and dark nuclei. An item of the data set is a whole batch, a dictionary:
    ``image`` (B, 5, 48, 48) float32, ``label`` (B, 2) of label and weight for :class:`csvd.losses.PatchLoss`, and
    ``index`` (B,) of the dark foci, -1 for other patches. Its key is a seed, see :class:`SeedSampler`.

    Args:
        data: items of a data list: ``image``, and, where there are any, ``mask``, ``label``, ``contrast`` and
            ``weight``, how often the scan is drawn relative to others, 1 by default.
        transform: of an item; gives ``image`` (C, H, W, D), whose first channel is relative to its tissue, ``mask``
            and, where there is one, ``label`` (1, H, W, D).
        bank_dir: where scans are kept for training, 10 to 300 MB each. What is there already is not made again,
            unless a file or the transform has changed.
        batch_size: patches of a batch.
        own: share of own microbleeds among the microbleeds, of scans that have any.
        thinned: share of patches of thick slices that are taken for those of thin ones.

    Raises:
        ValueError: an argument is out of its range, or there is no scan.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Any], Any],
        bank_dir: str | os.PathLike[str],
        batch_size: int = 96,
        own: float = 0.5,
        thinned: float = 0.4,
    ) -> None:
        check_positive("batch_size", batch_size)
        check_between("own", own, 0, 1)
        check_between("thinned", thinned, 0, 1)
        self.data, self.transform, self.bank_dir = data, transform, bank_dir
        self.batch_size, self.own, self.thinned = batch_size, own, thinned
        self._scans: list[BankedScan] | None = None

    @property
    def scans(self) -> list[BankedScan]:
        """Scans of the bank, which is filled when they are first asked for."""
        if self._scans is None:
            if not self.data:
                raise ValueError("no scan to train on: `data` is empty.")
            self._scans = fill_bank(self.bank_dir, self.data, self.transform)
            weights = np.array([float(item.get("weight", 1)) for item in self.data])
            self.weights = weights / weights.sum()
            self.first = np.cumsum([0, *(len(scan.foci) for scan in self._scans)])
            self.hardness = torch.full((max(1, int(self.first[-1])),), 0.5)
            self._drawn_by = self.hardness.clone().share_memory_()  # the processes of a data loader see it
        return self._scans

    def __getitem__(self, seed: int) -> dict[str, torch.Tensor]:
        """Return the batch of a seed."""
        rng, scans = np.random.default_rng(seed), self.scans
        kinds = rng.choice(len(SHARES), self.batch_size, p=list(SHARES.values()))
        which = rng.choice(len(scans), self.batch_size, p=self.weights)
        cuts = [self._cut(Kind(kind), int(number), rng) for kind, number in zip(kinds, which, strict=True)]
        patches, spacing, thin, kind, own, focus = (list(column) for column in zip(*cuts, strict=True))
        planted = plant_patches(
            torch.from_numpy(np.stack(patches)).float(),
            torch.tensor(spacing, dtype=torch.float32),
            torch.tensor(thin),
            torch.tensor([int(value) for value in kind]),
            Draws(seed),
        )
        label = torch.where(torch.tensor(own), 1.0, planted.label)
        return {
            "image": planted.patches,
            "label": torch.stack([label, planted.weight], dim=1),
            "index": torch.tensor(focus),
        }

    def _cut(self, kind: Kind, number: int, rng: np.random.Generator) -> Cut:
        scan, own, focus = self.scans[number], False, -1
        if kind == Kind.MICROBLEED and len(scan.lesions) and rng.random() < self.own:
            kind, own, point = Kind.NOTHING, True, _own_microbleed(scan, rng)
        elif kind == Kind.NOTHING and len(scan.foci):
            first = int(self.first[number])
            chosen = first + rng.integers(len(scan.foci), size=HARDEST_OF)
            hardest = int(np.argmax(self._drawn_by.numpy()[chosen])) if rng.random() < HARD_SHARE else 0
            focus = int(chosen[hardest])
            point = scan.foci[focus - first] + np.r_[rng.integers(-1, 2, 2), 0]
        else:
            point = _inside(scan, kind, rng)
        point[:2] = np.clip(point[:2], 0, np.array(scan.slices.shape[1:]) - 2 * REACH - 1)
        patch, spacing, thin = scan.cut(point, rng.random() < 0.5), scan.spacing_mm, scan.thin
        if not thin and not own and rng.random() < self.thinned:
            spacing, thin = float(np.exp(rng.uniform(math.log(0.6), math.log(2.2)))), True
        elif not thin:
            spacing *= rng.uniform(0.8, 1.3)
        return Cut(patch, spacing, thin, kind, own, focus)

    def update(self, index: torch.Tensor, probability: torch.Tensor) -> None:
        """Take the probabilities (B,) of a microbleed that a network gives the dark foci ``index`` (B,)."""
        shown = index >= 0
        index = index[shown].cpu()
        self.hardness[index] += 0.5 * (probability[shown].detach().float().cpu() - self.hardness[index])

    def start_epoch(self) -> None:
        """Draw by what was noted until now.

        Within an epoch it stays the same: batches are made ahead, and how far depends on the speed of the machine.
        """
        self._drawn_by.copy_(self.hardness)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return how hard each dark focus is, by scan, for :class:`csvd.engines.Resume`."""
        pairs = zip(self.scans, self.first, strict=False)
        return {scan.name: self.hardness[start : start + len(scan.foci)].clone() for scan, start in pairs}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take how hard each dark focus was; scans that the state does not name start anew."""
        for scan, start in zip(self.scans, self.first, strict=False):
            if scan.name in state:
                self.hardness[start : start + len(scan.foci)] = state[scan.name]


def _own_microbleed(scan: BankedScan, rng: np.random.Generator) -> np.ndarray:
    """Return a point near the middle of a microbleed that is marked in a scan."""
    lesion = rng.choice(np.unique(scan.lesions[:, 3]))
    point = rng.permutation(scan.lesions[scan.lesions[:, 3] == lesion])[0, :3]
    return point + np.r_[rng.normal(0, 0.8, 2).round(), 0].astype(int)


def _inside(scan: BankedScan, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Return a point in the brain; for a flow void the brightest of some."""
    points = scan.inside[rng.integers(len(scan.inside), size=BRIGHTEST_OF)]
    if kind != Kind.FLOW_VOID:
        return points[0].copy()
    values = [scan.slices[index, row + REACH, column + REACH] for row, column, index in points]
    return points[int(np.argmax(values))].copy()


class SeedSampler(Sampler[int]):
    """The seeds of an epoch, by the seed of PyTorch: an epoch that is seeded alike has the same batches.

    They do not depend on what was drawn since: a data loader whose processes persist draws when it starts them, in the
    first epoch, but also in the epoch in which a training is resumed.

    Args:
        batches: of an epoch.

    Raises:
        ValueError: ``batches`` is not positive.
    """

    def __init__(self, batches: int = 200) -> None:
        check_positive("batches", batches)
        self.batches = batches

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return self.batches

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch."""
        generator = torch.Generator().manual_seed(torch.initial_seed())
        yield from torch.randint(2**62, (self.batches,), generator=generator).tolist()


class ReplayHardFoci:
    """Handler that fills the bank of :class:`PlantedPatches`, and tells it what the network says of its dark foci.

    The next epoch draws by it. The outputs ``pred`` are log-odds (B, M) of M networks, of which the mean counts.

    Args:
        dataset: of the trainer's data loader.
    """

    def __init__(self, dataset: PlantedPatches) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Fill the bank on ``STARTED``, before there are processes that load data; look on ``ITERATION_COMPLETED``."""
        engine.add_event_handler(Events.STARTED, lambda: self.dataset.scans)
        engine.add_event_handler(Events.EPOCH_STARTED, lambda: self.dataset.start_epoch())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Note what the network says."""
        batch, output = (cast(Mapping[str, torch.Tensor], x) for x in (engine.state.batch, engine.state.output))
        self.dataset.update(batch["index"], output["pred"].detach().float().mean(dim=1).sigmoid())
