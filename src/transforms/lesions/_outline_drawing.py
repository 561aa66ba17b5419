"""Draws outlines into a map of labels, measures them, and goes on to lesions that hang together with them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from ._outline_section import covered
from ._outline_tracing import Traced, Tracer

ROUNDS = 6
"""How often lesions are looked for behind the saddles of those found before."""


@dataclass
class Measured:
    """What is measured of M lesions: ``core`` is (M, 3), all others (M,)."""

    ids: torch.Tensor
    point: torch.Tensor
    core: torch.Tensor
    area_mm2: torch.Tensor
    longest_mm: torch.Tensor
    difference: torch.Tensor
    background: torch.Tensor
    noise: torch.Tensor
    slices: torch.Tensor


def outline_all(tracer: Tracer, points: torch.Tensor, labels: torch.Tensor) -> Measured:
    """Draw the lesions of points (N, 3) into ``labels``, then those behind their saddles; return what is measured."""
    nearness = torch.zeros(labels.shape)  # 2 in a centre, 1 on an outline, 0 outside
    numbers = torch.stack([torch.arange(1, len(points) + 1), torch.arange(len(points))], dim=1)
    last = len(points)
    measured: list[Measured] = []
    for _ in range(ROUNDS):
        traced = tracer.trace(tracer.climb(points))
        kept = _draw(tracer, traced, numbers, labels, nearness)
        measured.append(_measure(traced, numbers, kept))
        beyond = traced.sections[0][2].beyond
        hidden = kept & beyond.isfinite().all(dim=1)
        points = torch.cat([beyond[hidden].round().long(), traced.cores[hidden, 2:]], dim=1)
        points = torch.minimum(points.clamp(min=0), torch.tensor(labels.shape) - 1)
        free = (labels[tuple(points.T)] == 0) & tracer.volume.at(tuple(points.T))[1]
        points, parents = points[free], numbers[hidden][free, 1]
        if not len(points):
            break
        numbers = torch.stack([last + 1 + torch.arange(len(points)), parents], dim=1)
        last += len(points)
    names = [column.name for column in fields(Measured)]
    return Measured(*(torch.cat([getattr(part, name) for part in measured]) for name in names))


def _draw(
    tracer: Tracer, traced: Traced, numbers: torch.Tensor, labels: torch.Tensor, nearness: torch.Tensor
) -> torch.Tensor:
    """Draw outlines in place, (N,) true for those that are drawn: no core lies in an earlier lesion.

    Where two overlap, the voxel goes to the outline whose centre is nearer, in its radii.
    """
    sections: list[list[tuple[tuple[slice, slice, int], torch.Tensor]]] = [[] for _ in traced.cores]
    for lesions, slices, section in traced.sections:
        shares, half = covered(section, tracer.spacing[:2])
        rows = zip(lesions.tolist(), slices.tolist(), section.centre.round().long().tolist(), shares, strict=True)
        for index, slice_, middle, share in rows:
            box, part = [], []
            for at, reach, size in zip(middle, half, labels.shape, strict=False):
                low, high = max(0, at - reach), min(size, at + reach + 1)
                box.append(slice(low, high))
                part.append(slice(low - at + reach, high - at + reach))
            sections[index].append(((box[0], box[1], slice_), share[tuple(part)]))
    kept = torch.zeros(len(traced.cores), dtype=torch.bool)
    for index, core in enumerate(traced.cores.tolist()):
        if labels[tuple(core)]:
            continue
        kept[index] = True
        for where, shares in sections[index]:
            nearer = (shares <= 1) & (2 - shares > nearness[where])
            labels[where][nearer] = int(numbers[index, 0])
            nearness[where][nearer] = 2 - shares[nearer]
        labels[tuple(core)], nearness[tuple(core)] = int(numbers[index, 0]), 2
    return kept


def _measure(traced: Traced, numbers: torch.Tensor, kept: torch.Tensor) -> Measured:
    area, longest, slices = (torch.zeros(len(kept), dtype=torch.float64) for _ in range(3))
    for lesions, _, section in traced.sections:
        area[lesions] += section.area_mm2.double()
        longest[lesions] = torch.maximum(longest[lesions], section.longest_mm.double())
        slices[lesions] += 1
    level = traced.level
    columns = (area, longest, level.core - level.background, level.background, traced.noise)
    area, longest, difference, background, noise = (column[kept].double() for column in columns)
    ids, point = numbers[kept].T
    core, seen = traced.cores[kept], slices[kept].long()
    return Measured(ids, point, core, area, longest, difference, background, noise, seen)
