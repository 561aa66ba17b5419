"""What is seen of simulated microbleeds: how they change the image without noise, which is larger than the deposit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from ..lesions.labels import label_components
from ..planes import slice_axis
from .protocols import Protocol
from .subject import simulate_subject

FINE_MM = 0.15
SIGN = {"swi": -1, "mag": -1, "qsm": 1}
NO_NOISE, NO_DEPOSIT = {"snr": 1e9}, {"snr": 1e9, "bloom": 1e6}  # what blooms so much is no larger than a point


def visible_diameters(
    protocol: Protocol, seed: int, index: int = 0, phenotype: str | None = None, image: str = "swi"
) -> dict[int, float]:
    """Return the diameter in mm of what is seen of each microbleed of a subject, by its number in the label.

    That is the sphere whose volume is that of where the image without noise differs from the image without deposits by
    half of the most that it differs in the lesion, the line drawn between voxels. Lesions that are not seen have none.

    Args:
        protocol: see :func:`simulate_subject`, as the other arguments.
        image: ``"swi"``, ``"mag"`` or ``"qsm"``.
    """
    seen, empty = (
        simulate_subject(replace(protocol, vary=partial(_varied, protocol, changes)), seed, index, phenotype)
        for changes in (NO_NOISE, NO_DEPOSIT)
    )
    spacing = seen.affine[:3, :3].norm(dim=0).numpy()
    axis = slice_axis(spacing.tolist())
    order = [k for k in range(3) if k != axis] + [axis]
    change = SIGN[image] * (seen.images[image] - empty.images[image]).numpy().transpose(order)
    label, spacing = seen.label.numpy().transpose(order), spacing[order]
    margin = np.ceil(8 / spacing).astype(int)
    found = {}
    for number, box in enumerate(ndimage.find_objects(label), start=1):
        if box is None:
            continue
        around = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(box, margin, strict=True))
        part = change[around].astype(float)
        voxels, core = visible(part, label[around], number)
        if part[core] > 0:
            found[number] = ball(between_voxels(part, voxels, part[core] / 2, spacing)[0])
    return found


def _varied(protocol: Protocol, changes: dict[str, Any], one: Protocol, rng: np.random.Generator) -> Protocol:
    return replace(protocol.vary(one, rng), **changes)


def visible(change: np.ndarray, label: np.ndarray, number: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the voxels of a lesion that are seen, and its core: the half of the most that the image changes.

    Args:
        change: (H, W, K), how lesions change the image, slices along the last axis.
        label: lesions, of the same shape.
        number: of the lesion.
    """
    free = (label == 0) | (label == number)
    near = ndimage.binary_dilation(label == number, np.ones((3, 3, 1))) & free
    core = np.unravel_index(np.where(near, change, -np.inf).argmax(), change.shape)
    clusters, _ = label_components((change >= change[core] / 2) & free)
    seen = clusters == clusters[core]
    filled = [ndimage.binary_fill_holes(seen[..., k]) for k in range(seen.shape[2])]
    return np.stack(filled, axis=-1), tuple(int(c) for c in core)


def between_voxels(change: np.ndarray, seen: np.ndarray, level: float, spacing: np.ndarray) -> tuple[float, float]:
    """Return volume in mm3 and longest diameter in plane, in mm, of where a change reaches a level in what is seen.

    Slices are sampled every 0.15 mm.
    """
    factor = int(np.ceil(spacing[:2].max() / FINE_MM))
    volume = longest = 0.0
    for k in np.flatnonzero(seen.any(axis=(0, 1))):
        index = [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in seen.shape[:2]]
        fine = ndimage.map_coordinates(change[..., k], np.meshgrid(*index, indexing="ij"), order=3, mode="nearest")
        around = ndimage.binary_dilation(seen[..., k], np.ones((3, 3)))
        inside = ndimage.binary_fill_holes((fine >= level) & np.kron(around, np.ones((factor, factor), bool)))
        volume += inside.sum() * spacing.prod() / factor**2
        edge = np.argwhere(inside & ~ndimage.binary_erosion(inside)) * spacing[:2] / factor
        if len(edge):
            apart = np.sqrt(np.square(edge[:, None] - edge).sum(axis=2)).max()
            longest = max(longest, apart + spacing[:2].min() / factor)
    return volume, longest


def ball(volume: float) -> float:
    """Return the diameter of the sphere of a volume."""
    return float((6 * volume / np.pi) ** (1 / 3))
