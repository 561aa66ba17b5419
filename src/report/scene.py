"""A scan turned to the orientation in which it is drawn, with its brain mask and its lesions."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from monai.utils import convert_to_tensor

from ..checks import check_same_shape

WINDOW_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Scene:
    """Volumes (X, Y, Z) whose axes are those of the scan, ordered and flipped to grow right, front and top.

    NumPy, because scikit-image traces outlines in it and Pillow encodes it.

    Attributes:
        grey: scan as uint8, two percentiles of the brain mapped to 0 and 255.
        brain: bool.
        instances: whole numbers, 0 outside lesions.
        affine: (4, 4), voxel of these volumes to RAS+ mm.
        contrast: ``"dark"`` or ``"bright"`` lesions.
        orientation: (3, 2), of the scan as stored, see :func:`nibabel.io_orientation`.
    """

    grey: np.ndarray
    brain: np.ndarray
    instances: np.ndarray
    affine: np.ndarray
    contrast: str
    orientation: np.ndarray

    @property
    def voxel_mm(self) -> np.ndarray:
        """Size of a voxel, (3,) mm."""
        return nib.affines.voxel_sizes(self.affine)

    def voxel_of(self, point_mm: tuple[float, float, float]) -> np.ndarray:
        """Return the voxel, (3,) not rounded, of a point in RAS+ mm."""
        return nib.affines.apply_affine(np.linalg.inv(self.affine), point_mm)

    def slice_mm(self, index: float) -> float:
        """Return the height in the world, mm, of the middle of an axial slice."""
        middle = [*(np.array(self.grey.shape[:2]) - 1) / 2, index, 1]
        return float((self.affine @ middle)[2])

    def turned(self, volume: torch.Tensor) -> np.ndarray:
        """Return another volume of the scan, (1, H, W, D), with the axes of this scene, (X, Y, Z)."""
        values = convert_to_tensor(volume, track_meta=False)[0].numpy(force=True)
        return nib.apply_orientation(values, self.orientation)


def make_scene(
    image: torch.Tensor,
    instances: torch.Tensor,
    brain_mask: torch.Tensor | None,
    affine: torch.Tensor | np.ndarray,
    contrast: str,
) -> Scene:
    """Return what the pictures are drawn from.

    Args:
        image: (1, H, W, D) scan.
        instances: (1, H, W, D) whole numbers, 0 outside lesions.
        brain_mask: (1, H, W, D), non-zero in the brain; the whole volume counts as brain without it, or when it
            is empty.
        affine: (4, 4), voxel to RAS+ mm.
        contrast: ``"dark"`` or ``"bright"`` lesions.

    Raises:
        ValueError: the spatial shapes differ.
    """
    mask = torch.ones_like(instances) if brain_mask is None else brain_mask
    check_same_shape(image, instances, "draw")
    check_same_shape(image, mask, "draw")
    affine = np.asarray(affine, dtype=np.float64)
    orientation = nib.io_orientation(affine)
    volumes = (convert_to_tensor(volume, track_meta=False)[0].numpy(force=True) for volume in (image, mask, instances))
    grey, brain, labels = (nib.apply_orientation(volume, orientation) for volume in volumes)
    brain = brain > 0 if brain.any() else np.ones_like(brain, dtype=bool)
    return Scene(
        grey=_window(grey, brain),
        brain=brain,
        instances=labels,
        affine=affine @ nib.orientations.inv_ornt_aff(orientation, image.shape[1:]),
        contrast=contrast,
        orientation=orientation,
    )


def _window(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image[inside], WINDOW_PERCENTILES)
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-12))  # the brain may be constant
    return scaled.clip(0, 255).astype(np.uint8)
