"""Lesions that are known by their centres: which ones detected points find, and which points are false."""

from collections.abc import Sequence

import torch

from ..checks import check_positive
from .matching import pair_closest


def pair_points(found_mm: torch.Tensor, truth_mm: torch.Tensor, max_distance_mm: float = 5.0) -> torch.Tensor:
    """Return the most pairs, one to one, of points at most a distance apart, and of these the closest.

    Args:
        found_mm: (N, 3) in mm.
        truth_mm: (M, 3) in mm of the same world.
        max_distance_mm: as in VALDO, see :func:`csvd.metrics.count_lesions`.

    Returns:
        (P, 2) int64: an index into ``found_mm`` and one into ``truth_mm``.

    Raises:
        ValueError: ``max_distance_mm`` is not positive.
    """
    check_positive("max_distance_mm", max_distance_mm)
    # NumPy, because SciPy's optimal assignment needs it.
    distance = torch.cdist(found_mm.double().reshape(-1, 3), truth_mm.double().reshape(-1, 3)).numpy(force=True)
    return torch.from_numpy(pair_closest(distance, max_distance_mm))


def count_points(
    found_mm: torch.Tensor,
    probability: torch.Tensor,
    truth_mm: torch.Tensor,
    thresholds: Sequence[float],
    counted: torch.Tensor | None = None,
    max_distance_mm: float = 5.0,
) -> torch.Tensor:
    """Count as :func:`csvd.metrics.count_lesions` does by distance, from points instead of maps.

    Args:
        found_mm: (N, 3) in mm.
        probability: (N,) of each.
        truth_mm: (M, 3) in mm.
        thresholds: T probabilities.
        counted: (M,) bool, all true by default. The others may be found or not: they count neither as lesions nor, when
            found, as false positives.
        max_distance_mm: see :func:`pair_points`.

    Returns:
        (T, 4), int64, in the order of :data:`csvd.metrics.COUNTS`.
    """
    counted = torch.ones(len(truth_mm), dtype=torch.bool) if counted is None else counted
    rows = []
    for threshold in thresholds:
        kept = found_mm[probability >= threshold]
        pairs = pair_points(kept, truth_mm, max_distance_mm)
        right = int(counted[pairs[:, 1]].sum())
        rows.append([int(counted.sum()), right, len(kept) - (len(pairs) - right), len(kept) - len(pairs)])
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)


def find_surest(found_mm: torch.Tensor, truth_mm: torch.Tensor, max_distance_mm: float = 5.0) -> torch.Tensor:
    """Return which points, the surest first, are the first within a distance of a lesion that is left, (N,) bool.

    Args:
        found_mm: (N, 3) in mm, the surest first. Each takes the nearest lesion that none before it took.
        truth_mm: (M, 3) in mm of the same world.
        max_distance_mm: see :func:`pair_points`.
    """
    distance = torch.cdist(found_mm.double(), truth_mm.double().reshape(-1, 3))
    first = torch.zeros(len(found_mm), dtype=torch.bool)
    for number in (distance <= max_distance_mm).any(dim=1).nonzero()[:, 0].tolist():
        nearest = distance[number].argmin()
        if distance[number, nearest] <= max_distance_mm:
            first[number] = True
            distance[:, nearest] = torch.inf
    return first
