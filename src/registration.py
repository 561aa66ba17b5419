"""Where a scan's points lie in MNI152: affine registration with ITK, or the box of the brain where that fails."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample
from monai.utils import convert_to_tensor
from torch.nn.functional import avg_pool3d

from .checks import check_one_channel, check_same_shape
from .regions import mni_tissue

WORK_MM = 3.0
"""Voxel size at which scan and template are compared."""
MARGIN_MM = 24.0
EXTENT_PERCENTILES = (0.5, 99.5)
EXTENT_RATIOS = (0.75, 1.25)  # of a brain's extents to those of MNI152; a crop, a slab or a bad mask lies outside
MIN_OVERLAP = 0.85
"""Dice overlap of brain and template below which a registration is poor: what is no brain has 0.83."""
FAIR_OVERLAP = 0.92
"""The same below which it raises a warning. Simulated brains have 0.93 to 0.97, real scans that lose signal 0.89."""
VOLUME_RATIOS = (0.6, 2.0)  # of the template's brain to a plausible one
LEVELS = ((4, 8.0), (3, 4.0), (2, 2.0))
"""Of the multi-resolution registration: every which voxel, and standard deviation of the Gaussian in mm."""
BINS, FIRST_STEP_MM, LAST_STEP_MM, RELAXATION, ITERATIONS = 32, 5.0, 0.05, 0.85, 150


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
    scan = _coarse(image, brain > 0, affine)
    try:
        matrix = _register(scan, _template())
    except RuntimeError:  # ITK's way to say that it found nothing to compare
        return _poor(box, overlap=None)
    overlap, ratio = _overlap(scan, _template(), matrix), float(torch.linalg.det(matrix[:3, :3]))
    if overlap < MIN_OVERLAP or not VOLUME_RATIOS[0] <= ratio <= VOLUME_RATIOS[1]:
        return _poor(box, overlap)
    fair = f"registration to MNI152 is only fair (overlap of the brains {overlap:.2f}): check region and side"
    return Alignment(matrix, "registration", round(overlap, ndigits=3), fair if overlap < FAIR_OVERLAP else None)


def _poor(box: torch.Tensor, overlap: float | None) -> Alignment:
    said = "failed" if overlap is None else f"is poor (overlap of the brains {overlap:.2f})"
    warning = f"registration to MNI152 {said}: regions come from the bounding box of the brain mask, check them"
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


def apply_affine(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Map points (N, 3), voxel indices or mm, by an affine (4, 4); float64."""
    return points.double() @ matrix[:3, :3].T + matrix[:3, 3]


def _extent(mask: torch.Tensor, affine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lower and upper corner, (3,) mm each, of a mask (H, W, D); NaN when it is empty."""
    points_mm = apply_affine(affine.double(), (mask > 0).nonzero())
    if not len(points_mm):
        return torch.full((3,), torch.nan), torch.full((3,), torch.nan)
    # NumPy, because torch.quantile refuses more than 16 million values.
    low, high = np.percentile(points_mm.numpy(), EXTENT_PERCENTILES, axis=0)
    return torch.from_numpy(low), torch.from_numpy(high)


@dataclass(frozen=True)
class _Brain:
    """A brain on a grid of :data:`WORK_MM` along the world's axes.

    Attributes:
        grey: (X, Y, Z) float32, 0 outside the brain, 0.1 to 1 inside.
        mask: (X, Y, Z) bool.
        origin_mm: (3,) RAS mm of the first voxel.
    """

    grey: np.ndarray
    mask: np.ndarray
    origin_mm: np.ndarray

    @property
    def points_mm(self) -> np.ndarray:
        """Voxels of the mask, (N, 3) RAS mm."""
        return np.argwhere(self.mask) * WORK_MM + self.origin_mm


@lru_cache(maxsize=1)
def _template() -> _Brain:
    brain, grey, white, affine = mni_tissue()
    tissue = torch.from_numpy((4 * grey + 5.5 * white + 3 * brain).astype(np.float32))[None]
    return _coarse(tissue, torch.from_numpy(brain)[None], torch.from_numpy(affine))


def _coarse(image: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor) -> _Brain:
    """Average (1, H, W, D) over blocks of about :data:`WORK_MM` and resample it along the world's axes."""
    block = [max(1, round(WORK_MM / float(size))) for size in affine[:3, :3].norm(dim=0)]
    stack = torch.cat([image.float().nan_to_num() * mask, mask.float()])
    stack = avg_pool3d(stack[None], block, ceil_mode=True, count_include_pad=False)[0]
    grown = torch.diag(torch.tensor([*block, 1], dtype=torch.float64))
    grown[:3, 3] = (torch.tensor(block) - 1) / 2
    coarse = affine @ grown
    points_mm = apply_affine(coarse, (stack[1] > 0.5).nonzero())
    low, high = points_mm.amin(dim=0) - MARGIN_MM, points_mm.amax(dim=0) + MARGIN_MM
    world = torch.diag(torch.tensor([WORK_MM] * 3 + [1], dtype=torch.float64))
    world[:3, 3] = low
    size = [int(n) for n in ((high - low) / WORK_MM).ceil()]
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", dtype=np.float32)
    both = resample(MetaTensor(stack, affine=coarse), dst_affine=world, spatial_size=size).numpy()
    inside = both[1] > 0.5
    level = both[0] / both[1].clip(0.1)
    dark, bright = np.percentile(level[both[1] > 0.9], (2, 98))
    grey = ((level - dark) / max(bright - dark, 1e-12)).clip(0, 1) * 0.9 + 0.1
    return _Brain((grey * inside).astype(np.float32), inside, low.numpy())


def _register(scan: _Brain, template: _Brain) -> torch.Tensor:
    """Return the (4, 4) affine from scan to template of the highest Mattes mutual information.

    It starts where the brains have the same centre and volume, and goes uphill by regular steps. Coordinates are RAS on
    both sides, which is all the same to ITK. One thread, so that the same scan gives the same bits.
    """
    # By module: `itk.ImageRegistrationMethodv4` would load 40 seconds of libraries, these take 3.
    import itk
    from itk.itkImageRegistrationMethodv4Python import itkImageRegistrationMethodv4REGv4F3F3 as Method
    from itk.itkMattesMutualInformationImageToImageMetricv4Python import (
        itkMattesMutualInformationImageToImageMetricv4IF3IF3 as Metric,
    )
    from itk.itkRegistrationParameterScalesFromPhysicalShiftPython import (
        itkRegistrationParameterScalesFromPhysicalShiftMMIITIMF3 as Scales,
    )
    from itk.itkRegularStepGradientDescentOptimizerv4Python import (
        itkRegularStepGradientDescentOptimizerv4D as Optimizer,
    )

    affine = _start(scan, template)
    metric = Metric.New(NumberOfHistogramBins=BINS, MaximumNumberOfWorkUnits=1)
    metric.SetUseFixedImageGradientFilter(False)
    metric.SetUseMovingImageGradientFilter(False)
    optimizer = Optimizer.New(
        LearningRate=FIRST_STEP_MM,
        MinimumStepLength=LAST_STEP_MM,
        RelaxationFactor=RELAXATION,
        NumberOfIterations=ITERATIONS,
        ReturnBestParametersAndValue=True,
        ScalesEstimator=Scales.New(Metric=metric),
    )
    method = Method.New(Metric=metric, Optimizer=optimizer, InitialTransform=affine)
    method.InPlaceOn()
    method.SetFixedImage(_itk_image(scan))
    method.SetMovingImage(_itk_image(template))
    method.SetNumberOfLevels(len(LEVELS))
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in LEVELS])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in LEVELS])
    method.Update()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = itk.array_from_matrix(affine.GetMatrix()), list(affine.GetOffset())
    return torch.from_numpy(matrix)


def _start(scan: _Brain, template: _Brain) -> Any:
    """Return ITK's affine transform that gives the scan's brain the centre and the volume of the template's."""
    from itk.itkAffineTransformPython import itkAffineTransformD3

    centre, mni_centre = (brain.points_mm.mean(axis=0) for brain in (scan, template))
    affine = itkAffineTransformD3.New()
    affine.SetCenter(centre.tolist())
    affine.Scale(float(template.mask.sum() / scan.mask.sum()) ** (1 / 3))
    affine.SetTranslation((mni_centre - centre).tolist())
    return affine


def _itk_image(brain: _Brain) -> Any:
    import itk

    image = itk.image_from_array(np.ascontiguousarray(brain.grey.T))  # ITK counts axes from the last
    image.SetOrigin(brain.origin_mm.tolist())
    image.SetSpacing([WORK_MM] * 3)
    return image


def _overlap(scan: _Brain, template: _Brain, matrix: torch.Tensor) -> float:
    """Return the Dice overlap of the template's mask and the scan's, mapped to MNI152."""
    back = torch.linalg.inv(matrix)
    points_mm = apply_affine(back, torch.from_numpy(template.points_mm)).numpy()
    index = ((points_mm - scan.origin_mm) / WORK_MM).round().astype(int)
    seen = ((index >= 0) & (index < scan.mask.shape)).all(axis=1)
    common = scan.mask[tuple(index[seen].T)].sum()
    mapped = scan.mask.sum() * float(torch.linalg.det(matrix[:3, :3]))
    return float(2 * common / (mapped + template.mask.sum()))
