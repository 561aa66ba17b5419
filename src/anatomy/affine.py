"""Affine maps between brains: applied to points, and found by SimpleITK."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample
from torch.nn.functional import avg_pool3d

from .._simple_itk import load_simple_itk

WORK_MM = 3.0
"""Voxel size at which scan and template are compared."""
MARGIN_MM = 24.0
LEVELS = ((4, 8.0), (3, 4.0), (2, 2.0))
"""Of the multi-resolution registration: every which voxel, and standard deviation of the Gaussian in mm."""
BINS, FIRST_STEP_MM, LAST_STEP_MM, RELAXATION, ITERATIONS = 32, 5.0, 0.05, 0.85, 150


def apply_affine(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Map points (N, 3), voxel indices or mm, by an affine (4, 4); float64."""
    return points.double() @ matrix[:3, :3].T + matrix[:3, 3]


@dataclass(frozen=True)
class Brain:
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


def coarse_brain(image: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor) -> Brain:
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
    return Brain((grey * inside).astype(np.float32), inside, low.numpy())


def register(scan: Brain, template: Brain) -> torch.Tensor:
    """Return the (4, 4) affine from scan to template of the highest Mattes mutual information.

    It starts where the brains have the same centre and volume, and goes uphill by regular steps. Coordinates are RAS on
    both sides, which is all the same to ITK.
    """
    sitk = load_simple_itk()
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.MetricUseFixedImageGradientFilterOff()
    method.MetricUseMovingImageGradientFilterOff()
    method.SetOptimizerAsRegularStepGradientDescent(FIRST_STEP_MM, LAST_STEP_MM, ITERATIONS, RELAXATION)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(_start(scan, template), inPlace=False)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in LEVELS])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in LEVELS])
    found = method.Execute(_image(scan), _image(template))
    corners = np.vstack([np.zeros(3), np.eye(3)])
    origin, *axes = (np.array(found.TransformPoint(corner)) for corner in corners)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(axes, axis=1) - origin[:, None], origin
    return torch.from_numpy(matrix)


def _start(scan: Brain, template: Brain) -> Any:
    """Return the affine transform that gives the scan's brain the centre and the volume of the template's."""
    sitk = load_simple_itk()
    centre, mni_centre = (brain.points_mm.mean(axis=0) for brain in (scan, template))
    affine = sitk.AffineTransform(3)
    affine.SetCenter(centre.tolist())
    affine.Scale(float(template.mask.sum() / scan.mask.sum()) ** (1 / 3))
    affine.SetTranslation((mni_centre - centre).tolist())
    return affine


def _image(brain: Brain) -> Any:
    sitk = load_simple_itk()
    image = sitk.GetImageFromArray(brain.grey.T)  # which counts axes from the last
    image.SetOrigin(brain.origin_mm.tolist())
    image.SetSpacing([WORK_MM] * 3)
    return image


def overlap_of(scan: Brain, template: Brain, matrix: torch.Tensor) -> float:
    """Return the Dice overlap of the template's mask and the scan's, mapped to MNI152."""
    back = torch.linalg.inv(matrix)
    points_mm = apply_affine(back, torch.from_numpy(template.points_mm)).numpy()
    index = ((points_mm - scan.origin_mm) / WORK_MM).round().astype(int)
    seen = ((index >= 0) & (index < scan.mask.shape)).all(axis=1)
    common = scan.mask[tuple(index[seen].T)].sum()
    mapped = scan.mask.sum() * float(torch.linalg.det(matrix[:3, :3]))
    return float(2 * common / (mapped + template.mask.sum()))
