"""Where a scan's points lie in MNI152: affine registration with ITK, or the box of the brain where that fails."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from monai.utils import convert_to_tensor

from ..checks import check_one_channel, check_same_shape
from .affine import Brain, apply_affine, coarse_brain, overlap_of, register
from .mni import mni_tissue

EXTENT_PERCENTILES = (0.5, 99.5)
EXTENT_RATIOS = (0.75, 1.25)  # of a brain's extents to those of MNI152; a crop, a slab or a bad mask lies outside
MIN_OVERLAP = 0.85
"""Dice overlap of brain and template below which a registration is poor: a brick of the extents of a brain has 0.83."""
FAIR_OVERLAP = 0.92
"""The same below which it raises a warning. Simulated brains have 0.93 to 0.97, real scans that lose signal 0.89."""
VOLUME_RATIOS = (0.6, 2.0)  # of the template's brain to a plausible one


@dataclass(frozen=True)
class Alignment:
    """How points of a scan are mapped to MNI152.

    Attributes:
        matrix: (4, 4) float64, RAS mm of the scan to RAS mm of MNI152; ``None`` where the scan shows no whole brain.
        method: ``"registration"``, ``"bounding box"`` or ``"none"``.
        overlap: Dice overlap of the registered brain mask and that of the template, also of a poor registration.
        warning: what a reader must know, if anything.
    """

    matrix: torch.Tensor | None
    method: str
    overlap: float | None = None
    warning: str | None = None


def align_to_mni(image: torch.Tensor, mask: torch.Tensor | None, affine: torch.Tensor | np.ndarray) -> Alignment:
    """Find the affine map from a scan to MNI152.

    The brains are compared by mutual information, so the contrast does not matter. A registration that is poor, for its
    overlap or its change of volume, gives way to the bounding box of the mask, with a warning.

    Args:
        image: (1, H, W, D), any orientation.
        mask: (1, H, W, D), non-zero in the brain; without it nothing is aligned.
        affine: (4, 4), voxel to RAS+ mm.

    Raises:
        ValueError: the image is not one channel of a volume, or its shape is not the mask's.
    """
    if mask is None:
        return Alignment(None, "none")
    check_one_channel(image, "register")
    check_same_shape(image, mask, "register")
    affine = torch.as_tensor(affine, dtype=torch.float64).cpu()
    image, brain = (convert_to_tensor(part, track_meta=False).cpu() for part in (image, mask))
    box = box_to_mni(brain, affine)
    if box is None:
        return Alignment(None, "none", warning="the brain mask is not that of a whole brain: no region is given")
    scan = coarse_brain(image, brain > 0, affine)
    try:
        matrix = register(scan, _template())
    except RuntimeError:  # ITK's way to say that it found nothing to compare
        return _poor(box, overlap=None)
    overlap, ratio = overlap_of(scan, _template(), matrix), float(torch.linalg.det(matrix[:3, :3]))
    if overlap < MIN_OVERLAP or not VOLUME_RATIOS[0] <= ratio <= VOLUME_RATIOS[1]:
        return _poor(box, overlap)
    fair = f"registration to MNI152 is only fair (overlap of the brains {overlap:.2f}): check region and side"
    return Alignment(matrix, "registration", round(overlap, ndigits=3), fair if overlap < FAIR_OVERLAP else None)


def _poor(box: torch.Tensor, overlap: float | None) -> Alignment:
    outcome = "failed" if overlap is None else f"is poor (overlap of the brains {overlap:.2f})"
    warning = f"registration to MNI152 {outcome}: regions come from the bounding box of the brain mask, check them"
    return Alignment(box, "bounding box", None if overlap is None else round(overlap, ndigits=3), warning)


def box_to_mni(mask: torch.Tensor, affine: torch.Tensor) -> torch.Tensor | None:
    """Return the (4, 4) map that scales the box of a brain, along the world's axes, to that of the template.

    The box spans the percentiles :data:`EXTENT_PERCENTILES` of the mask's voxels, so that a stray voxel does not count.

    Args:
        mask: (1, H, W, D), non-zero in the brain.
        affine: (4, 4) of the mask.

    Returns:
        RAS mm of the scan to those of MNI152, or ``None`` when the extents of the mask are not those of a whole brain.
    """
    brain, _, _, template_affine = mni_tissue()
    low, high = _extent(mask[0], affine)
    mni_low, mni_high = _extent(torch.from_numpy(brain), torch.from_numpy(template_affine))
    ratio = (mni_high - mni_low) / (high - low)
    if not ((1 / ratio > EXTENT_RATIOS[0]) & (1 / ratio < EXTENT_RATIOS[1])).all():
        return None
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[:3, 3] = ratio.diag(), mni_low - ratio * low
    return matrix


def _extent(mask: torch.Tensor, affine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lower and upper corner, (3,) mm each, of a mask (H, W, D); NaN when it is empty."""
    points_mm = apply_affine(affine.double(), (mask > 0).nonzero())
    if not len(points_mm):
        return torch.full((3,), torch.nan), torch.full((3,), torch.nan)
    # NumPy, because torch.quantile refuses more than 16 million values.
    low, high = np.percentile(points_mm.numpy(), EXTENT_PERCENTILES, axis=0)
    return torch.from_numpy(low), torch.from_numpy(high)


@lru_cache(maxsize=1)
def _template() -> Brain:
    brain, grey, white, affine = mni_tissue()
    tissue = torch.from_numpy((4 * grey + 5.5 * white + 3 * brain).astype(np.float32))[None]
    return coarse_brain(tissue, torch.from_numpy(brain)[None], torch.from_numpy(affine))
