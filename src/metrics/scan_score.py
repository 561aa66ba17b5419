"""One scan against its truth: which lesions are found, by three rules, and how its count and volume agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from monai.data.utils import affine_to_spacing

from ..checks import check_one_channel, check_same_shape
from ..lesions.labels import label_components
from .matching import cluster_centers, pair_closest
from .points import pair_points
from .rates import pooled_rates

RULES = {
    "distance": "centres at most 5 mm apart, one to one",
    "strict": "Dice of detection and lesion above 0.1, one to one",
    "overlap": "a shared voxel; one detection may find several lesions",
}
"""Rules that tell which lesions are found, the first one first; the others need masks."""

STRICT_DICE = 0.1
MAX_DISTANCE_MM = 5.0


@dataclass(frozen=True)
class ScanScore:
    """What is found of the M lesions of a scan.

    Args:
        counts: by rule, (4,) int64 in the order of :data:`csvd.metrics.COUNTS`; of points by "distance" alone.
        found: (M,) bool, by "distance".
        diameter_mm: (M,) of the spheres with the volumes of the lesions; NaN of points.
        dice: of all lesions with all detections; NaN of points, and where there is no lesion.
        volume_mm3: of all lesions; NaN of points.
        reported_mm3: of all detections.
    """

    counts: Mapping[str, torch.Tensor]
    found: torch.Tensor
    diameter_mm: torch.Tensor
    dice: float
    volume_mm3: float
    reported_mm3: float

    @property
    def lesions(self) -> int:
        """How many there are."""
        return int(self.counts["distance"][0])

    @property
    def detections(self) -> int:
        """How many are reported."""
        return int(self.counts["distance"][2])

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision by "distance"; NaN without lesions."""
        return float(pooled_rates(self.counts["distance"][None])["f1"])


def score_masks(
    detected: torch.Tensor, label: torch.Tensor, affine: torch.Tensor, reported_mm3: float | None = None
) -> ScanScore:
    """Return the score of a map of detections against a mask.

    A lesion is a 26-connected cluster of the voxels above 0 in ``label``, a detection a number of ``detected``.

    Args:
        detected: (1, H, W, D) whole numbers, 0 outside detections.
        label: (1, H, W, D).
        affine: (4, 4), voxel to mm.
        reported_mm3: volume of the detections as the detector measured it; that of their voxels when not given.

    Raises:
        InputError: one is not one channel of a volume, or their shapes differ.
    """
    for image in (detected, label):
        check_one_channel(image, "score the lesions of")
    check_same_shape(detected, label, "score the lesions of", name="label")
    # NumPy, because torch has no connected components.
    truth, _ = label_components(label[0].numpy(force=True) > 0)
    objects = _numbered(detected[0].numpy(force=True))
    sizes, object_sizes, shared = _overlaps(truth, objects)
    axes = affine[:3, :3].double().cpu()
    found_mm, truth_mm = (torch.from_numpy(cluster_centers(clusters)) @ axes.T for clusters in (objects, truth))
    pairs = pair_points(found_mm, truth_mm, MAX_DISTANCE_MM)
    dice = 2 * shared / (sizes[:, None] + object_sizes)
    strict = len(pair_closest(np.where(dice > STRICT_DICE, 1 - dice, np.inf), limit=1.0))
    many = len(sizes), len(object_sizes)
    voxel_mm3 = float(affine_to_spacing(affine.double()).prod())
    volumes = sizes * voxel_mm3
    return ScanScore(
        counts={
            "distance": _counts(*many, len(pairs), len(pairs)),
            "strict": _counts(*many, strict, strict),
            "overlap": _counts(*many, int(shared.any(axis=1).sum()), int(shared.any(axis=0).sum())),
        },
        found=_mark(len(sizes), pairs[:, 1]),
        diameter_mm=torch.from_numpy((6 * volumes / np.pi) ** (1 / 3)),
        dice=2 * float(shared.sum()) / int(sizes.sum() + object_sizes.sum()) if len(sizes) else nan,
        volume_mm3=float(volumes.sum()),
        reported_mm3=float(object_sizes.sum()) * voxel_mm3 if reported_mm3 is None else reported_mm3,
    )


def score_points(found_mm: torch.Tensor, truth_mm: torch.Tensor, reported_mm3: float = nan) -> ScanScore:
    """Return the score of detections against lesions that are known by their centres, by distance alone.

    Args:
        found_mm: centres of the detections, (N, 3) in mm.
        truth_mm: (M, 3) in mm of the same world.
        reported_mm3: volume of the detections.
    """
    pairs, lesions = pair_points(found_mm, truth_mm, MAX_DISTANCE_MM), len(truth_mm)
    return ScanScore(
        counts={"distance": _counts(lesions, len(found_mm), len(pairs), len(pairs))},
        found=_mark(lesions, pairs[:, 1]),
        diameter_mm=torch.full((lesions,), nan, dtype=torch.float64),
        dice=nan,
        volume_mm3=nan,
        reported_mm3=reported_mm3,
    )


def _numbered(instances: np.ndarray) -> np.ndarray:
    """Return an instance map whose numbers are 1, 2, 3 and so on, in their order."""
    inside = instances > 0
    numbered = np.zeros(instances.shape, dtype=np.int64)
    numbered[inside] = np.unique(instances[inside], return_inverse=True)[1] + 1
    return numbered


def _overlaps(truth: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the voxels of M lesions, those of N detections, and those that they share, (M, N)."""
    sizes, object_sizes = (np.bincount(part[part > 0], minlength=1)[1:] for part in (truth, objects))
    shared = np.zeros((len(sizes), len(object_sizes)), dtype=np.int64)
    both = (truth > 0) & (objects > 0)
    np.add.at(shared, (truth[both] - 1, objects[both] - 1), 1)
    return sizes, object_sizes, shared


def _counts(lesions: int, detections: int, found: int, right: int) -> torch.Tensor:
    return torch.tensor([lesions, found, detections, detections - right])


def _mark(count: int, index: torch.Tensor) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.bool).index_fill(0, index, True)
