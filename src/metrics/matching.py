"""Lesion counts: which true lesions a prediction finds, and which of its clusters are false."""

from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ..checks import check_one_channel, check_one_of, check_positive, check_same_shape
from ..lesions.labels import label_components

MATCHES = ("overlap", "distance")
COUNTS = ("lesions", "found", "detections", "false_positives")


def count_lesions(
    probability: torch.Tensor,
    label: torch.Tensor,
    thresholds: Sequence[float],
    match: str = "overlap",
    max_distance_mm: float = 5.0,
) -> torch.Tensor:
    """Count the lesions of one subject that are there, are found, are detected, and are false positives.

    Lesions and detections are 26-connected clusters: of the voxels above 0 in ``label`` (so that instances which touch
    are one), and of those whose probability is at least the threshold. Two rules tell what is found:

    - ``"overlap"`` [1]_: a lesion is found if a detection shares a voxel with it; a detection that shares none with any
      lesion is a false positive. One detection over two lesions finds both; two over one lesion are both true. A single
      cluster over the whole brain is therefore perfect: do not choose weights by this rule alone.
    - ``"distance"`` [2]_: lesions and detections are paired one to one, the most pairs whose centres of mass are at
      most ``max_distance_mm`` apart and of these the closest (optimal assignment). Detections without a partner are
      false positives.

    Args:
        probability: (1, H, W, D) in 0..1; a binary or instance mask will do for a threshold of 0.5.
        label: (1, H, W, D). Distances use its affine, else that of ``probability``, else voxels of 1 mm.
        thresholds: T probabilities.
        match: "overlap" or "distance".
        max_distance_mm: for "distance". Defaults to 5, as in VALDO [2]_.

    Returns:
        (T, 4), int64, in the order of :data:`COUNTS`.

    Raises:
        ValueError: ``match`` is neither, ``max_distance_mm`` is not positive, the shapes
            differ, or there is more than one channel.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023, section 4.1. https://doi.org/10.3389/fninf.2023.1204186
        .. [2] Sudre et al., Med. Image Anal. 2024, VALDO challenge. https://doi.org/10.1016/j.media.2023.103029
    """
    check_one_of("match", match, MATCHES)
    check_positive("max_distance_mm", max_distance_mm)
    check_one_channel(probability, "count the lesions of")
    check_same_shape(probability, label, "count the lesions of", name="label")
    affine = next((image.affine for image in (label, probability) if isinstance(image, MetaTensor)), torch.eye(4))
    # NumPy, because torch has no connected components.
    axes_mm = affine[:3, :3].numpy(force=True)
    volume = probability[0].float().numpy(force=True)
    truth, lesions = label_components(label[0].numpy(force=True) > 0)
    truth_mm = cluster_centers(truth) @ axes_mm.T
    rows = {}
    detected = None
    for threshold in sorted(thresholds):
        if detected is None or detected.change_at(threshold):
            detected = _Detections(volume, threshold, truth)
        kept = detected.highest >= threshold
        if match == "overlap":
            pairs = detected.meets[kept[detected.meets[:, 0]]]
            true_detections, found = (len(np.unique(numbers)) for numbers in pairs.T)
        else:
            distance_mm = cdist(truth_mm, detected.centers[kept] @ axes_mm.T)
            found = true_detections = len(pair_closest(distance_mm, max_distance_mm))
        rows[threshold] = (lesions, found, int(kept.sum()), int(kept.sum()) - true_detections)
    return torch.tensor([rows[threshold] for threshold in thresholds])


class _Detections:
    """Clusters at a threshold: ``highest`` and ``lowest`` value, ``centers`` in voxels, the lesions that each meets.

    They are looked for once and serve at higher thresholds, too, until one of them would shrink or fall apart: those of
    the cascade, whose voxels have one value each, never do.
    """

    def __init__(self, volume: np.ndarray, threshold: float, truth: np.ndarray) -> None:
        clusters, count = label_components(volume >= threshold)
        inside = clusters > 0
        number, value = clusters[inside] - 1, volume[inside]
        self.highest, self.lowest = (np.full(count, bound, volume.dtype) for bound in (-np.inf, np.inf))
        np.maximum.at(self.highest, number, value)
        np.minimum.at(self.lowest, number, value)
        self.centers = cluster_centers(clusters)
        both = np.stack([number, truth[inside]], axis=1)  # (V, 2)
        self.meets = np.unique(both[both[:, 1] > 0], axis=0)

    def change_at(self, threshold: float) -> bool:
        """Tell whether a cluster has voxels on both sides of a threshold."""
        return bool(((self.highest >= threshold) & (self.lowest < threshold)).any())


def lesion_centers(label: np.ndarray) -> np.ndarray:
    """Return the centres of mass (N, 3), in voxels, of the 26-connected clusters of a label (H, W, D)."""
    return cluster_centers(label_components(label > 0)[0])


def cluster_centers(clusters: np.ndarray) -> np.ndarray:
    """Return the centres of mass (N, 3), in voxels, of clusters numbered from 1."""
    voxels = np.nonzero(clusters)
    number = clusters[voxels] - 1
    return np.stack([np.bincount(number, weights=axis) for axis in voxels], axis=1) / np.bincount(number)[:, None]


def pair_closest(distance: np.ndarray, limit: float) -> np.ndarray:
    """Return the most pairs (row, column) within ``limit`` that use no row and no column twice, the closest, (P, 2)."""
    too_far = distance > limit
    forbidden = limit * (min(distance.shape) + 1)  # dearer than all allowed pairs together
    rows, columns = linear_sum_assignment(np.where(too_far, forbidden, distance))
    return np.stack([rows, columns], axis=1)[~too_far[rows, columns]]
