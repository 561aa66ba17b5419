"""Training of the classifier of dark foci on patches that are planted afresh, never the same twice."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ..networks.patch_classifier import PatchClassifier
from ..phantom.draws import Draws
from ..phantom.planting_patches import Kind, plant_patches
from .background_bank import REACH, Background

SHARES = {Kind.NOTHING: 0.40, Kind.MICROBLEED: 0.38, Kind.VESSEL: 0.09, Kind.FLOW_VOID: 0.07, Kind.NUCLEUS: 0.06}
HARDEST_OF = 8
BRIGHTEST_OF = 24
SMOOTHING = 0.01


@dataclass
class Batch:
    """What one update learns from, before planting.

    Args:
        patches: (N, 5, 64, 64).
        thickness_mm, thin, kinds: of each, (N,).
        own: whether the patch shows a microbleed of the scan itself, (N,).
        origin: background and number of the dark focus, where the patch is one.
    """

    patches: torch.Tensor
    thickness_mm: torch.Tensor
    thin: torch.Tensor
    kinds: torch.Tensor
    own: torch.Tensor
    origin: list[tuple[int, int] | None]


@dataclass
class Sampler:
    """Draws batches from a bank; dark foci that the network takes for microbleeds come more often.

    Args:
        backgrounds: scans.
        weights: how often each is drawn.
        seed: of the random numbers.
        own: share of own microbleeds among the microbleeds, of scans that have any.
        thinned: share of patches of thick slices that are taken for those of thin ones.
    """

    backgrounds: list[Background]
    weights: np.ndarray
    seed: int
    own: float = 0.5
    thinned: float = 0.4
    hardness: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.weights = np.asarray(self.weights, float) / np.sum(self.weights)
        self.hardness = [np.full(len(b.dots), 0.5, np.float32) for b in self.backgrounds]

    def draw(self, count: int) -> Batch:
        """Return a batch of ``count`` patches."""
        kinds = self.rng.choice(len(SHARES), count, p=list(SHARES.values()))
        which = self.rng.choice(len(self.backgrounds), count, p=self.weights)
        rows = [self._one(Kind(kind), int(number)) for kind, number in zip(kinds, which, strict=True)]
        patches, thickness, thin, kinds_, own, origin = zip(*rows, strict=True)
        return Batch(
            torch.from_numpy(np.stack(patches)).float(),
            torch.tensor(thickness, dtype=torch.float32),
            torch.tensor(thin),
            torch.tensor(kinds_),
            torch.tensor(own),
            list(origin),
        )

    def _one(self, kind: Kind, number: int) -> tuple[np.ndarray, float, bool, int, bool, tuple[int, int] | None]:
        """Return a patch, the thickness of its slices, whether they are thin, its kind, own, and its origin."""
        scan, rng = self.backgrounds[number], self.rng
        own, origin = False, None
        if kind == Kind.MICROBLEED and len(scan.lesions) and rng.random() < self.own:
            lesion = rng.choice(np.unique(scan.lesions[:, 3]))
            point = rng.permutation(scan.lesions[scan.lesions[:, 3] == lesion])[0, :3]
            point = point + np.r_[rng.normal(0, 0.8, 2).round(), 0].astype(int)
            kind, own = Kind.NOTHING, True
        elif kind == Kind.NOTHING and len(scan.dots):
            chosen = rng.integers(len(scan.dots), size=HARDEST_OF)
            best = chosen[np.argmax(self.hardness[number][chosen])] if rng.random() < 0.6 else chosen[0]
            point, origin = scan.dots[best] + np.r_[rng.integers(-1, 2, 2), 0], (number, int(best))
        else:
            point = self._inside(scan, kind)
        point[:2] = np.clip(point[:2], 0, np.array(scan.slices.shape[1:]) - 2 * REACH - 1)
        patch, spacing, thin = scan.cut(point, rng.random() < 0.5), scan.spacing_mm, scan.thin
        if not thin and not own and rng.random() < self.thinned:
            spacing, thin = float(np.exp(rng.uniform(math.log(0.6), math.log(2.2)))), True
        elif not thin:
            spacing *= rng.uniform(0.8, 1.3)
        return patch, spacing, thin, int(kind), own, origin

    def _inside(self, scan: Background, kind: Kind) -> np.ndarray:
        """Return a point in the brain; for a flow void the brightest of some."""
        points = scan.inside[self.rng.integers(len(scan.inside), size=BRIGHTEST_OF)]
        if kind != Kind.FLOW_VOID:
            return points[0].copy()
        values = [scan.slices[index, row + REACH, column + REACH] for row, column, index in points]
        return points[int(np.argmax(values))].copy()

    def learn(self, batch: Batch, probability: np.ndarray) -> None:
        """Note what the network says of the dark foci of a batch."""
        for origin, value in zip(batch.origin, probability, strict=True):
            if origin is not None:
                hardness = self.hardness[origin[0]]
                hardness[origin[1]] += 0.5 * (value - hardness[origin[1]])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return what a resumed training goes on with."""
        pairs = zip(self.backgrounds, self.hardness, strict=True)
        return {scan.name: torch.from_numpy(hardness) for scan, hardness in pairs}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take up the state of :meth:`state_dict`; scans that it does not name start anew."""
        pairs = zip(self.backgrounds, self.hardness, strict=True)
        self.hardness = [state[scan.name].numpy() if scan.name in state else fresh for scan, fresh in pairs]


def train_dots(
    network: PatchClassifier,
    sampler: Sampler,
    path: Path,
    updates: int,
    *,
    seed: int,
    batch_size: int = 96,
    learning_rate: float = 2e-3,
    autocast: bool = False,
    save_every_s: float = 120,
    report: Callable[[str], None] = print,
) -> PatchClassifier:
    """Train a classifier and return the average of its weights, which is also saved beside the resumable state.

    Args:
        network: is trained in place.
        sampler: of batches.
        path: state file; training goes on from it when it exists. The average is ``path`` with ``.average.pt``.
        updates: in all.
        seed: of what is planted.
        batch_size: patches of an update.
        learning_rate: the highest; warm-up over 100 updates, then half a cosine to 0.
        autocast: compute in bfloat16, which pays on processors with AMX or AVX-512 BF16.
        save_every_s: seconds between two saves.
        report: is given a line every 200 updates.
    """
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-3)
    parts = {"network": network, "average": average, "optimizer": optimizer, "sampler": sampler}
    done, spent = _resume(path, parts)
    draws, loss_mean = Draws(seed + 1_000_003 * done), 0.0
    sampler.rng = np.random.default_rng([seed, done])
    started = saved = time.monotonic()
    while done < updates:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (done + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done / updates))
        batch = sampler.draw(batch_size)
        with torch.no_grad():
            planted = plant_patches(batch.patches, batch.thickness_mm, batch.thin, batch.kinds, draws)
        label = torch.where(batch.own, 1.0, planted.label)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            logits = network(planted.patches.contiguous(memory_format=torch.channels_last)).float()
        losses = binary_cross_entropy_with_logits(logits, label * (1 - 2 * SMOOTHING) + SMOOTHING, reduction="none")
        loss = (losses * planted.weight).sum() / planted.weight.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()
        done += 1
        sampler.learn(batch, logits.detach().sigmoid().numpy())
        _follow(average, network, min(0.999, (1 + done) / (10 + done)))
        loss_mean += (loss.item() - loss_mean) * max(0.01, 1 / done)
        if done % 200 == 0:
            seconds = spent + time.monotonic() - started
            report(f"update {done} of {updates}, {seconds:.0f} s, loss {loss_mean:.4f}")
        if time.monotonic() - saved > save_every_s or done == updates:
            _save(path, parts, done, spent + time.monotonic() - started)
            saved = time.monotonic()
    return average


def _follow(average: PatchClassifier, network: PatchClassifier, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def _resume(path: Path, parts: Mapping[str, object]) -> tuple[int, float]:
    """Load the state at ``path`` into ``parts``, if there is any; return updates done and seconds spent."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])  # type: ignore[attr-defined]
    return state["done"], state["spent"]


def _save(path: Path, parts: Mapping[str, object], done: int, spent: float) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
    partial = path.with_suffix(".partial")
    torch.save({**state, "done": done, "spent": spent}, partial)
    partial.replace(path)
    torch.save(state["average"], path.with_suffix(".average.pt"))
