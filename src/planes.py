"""Along which axis of a volume the slices lie, and volumes turned so that it is the last."""

from collections.abc import Sequence

import numpy as np
import torch
from monai.data.utils import affine_to_spacing
from nibabel.orientations import io_orientation

COARSER = 1.2
"""Times the spacing of the last axis from which another one is the axis of the slices."""


def slice_axis(spacing_mm: Sequence[float]) -> int:
    """Return along which axis a scan's slices lie: the coarsest, or the last where no other is clearly coarser."""
    widest = max(range(3), key=lambda axis: spacing_mm[axis])
    return widest if spacing_mm[widest] > COARSER * spacing_mm[2] else 2


class Turn:
    """Turns volumes of a scan so that its slices lie along the last axis, and back.

    Patients are turned the same way round, whatever the order in which a scan is stored: axes go to the right, to the
    front and up, as far as the scan allows, before that of the slices is put last.

    Args:
        affine: of the scan, (4, 4).

    Attributes:
        spacing: of rows, columns and slices of what is turned, in mm.
    """

    def __init__(self, affine: torch.Tensor) -> None:
        orientation = io_orientation(affine.numpy(force=True))
        upright = np.argsort(orientation[:, 0])
        spacing = affine_to_spacing(affine).tolist()
        last = slice_axis([spacing[axis] for axis in upright])
        self.axes = [int(upright[k]) for k in (*(k for k in range(3) if k != last), last)]
        self.flipped = [k for k, axis in enumerate(self.axes) if orientation[axis, 1] < 0]
        rows, columns, slices = (float(spacing[axis]) for axis in self.axes)
        self.spacing = rows, columns, slices

    @classmethod
    def of(cls, scan: torch.Tensor) -> "Turn":
        """Return how to turn a scan; without an affine its voxels are of 1 mm."""
        return cls(getattr(scan, "affine", torch.eye(4)))

    def there(self, volume: torch.Tensor) -> torch.Tensor:
        """Turn a volume (..., H, W, D)."""
        first = volume.ndim - 3
        turned = volume.permute(*range(first), *(first + axis for axis in self.axes))
        return turned.flip([first + k for k in self.flipped]).contiguous()

    def back(self, volume: torch.Tensor) -> torch.Tensor:
        """Turn a volume from :meth:`there` back."""
        first = volume.ndim - 3
        back = [self.axes.index(axis) for axis in range(3)]
        turned = volume.flip([first + k for k in self.flipped])
        return turned.permute(*range(first), *(first + k for k in back)).contiguous()

    def points_there(self, points: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Turn voxels (N, 3) of a volume that is (H, W, D) before it is turned."""
        turned = points[:, self.axes]
        turned[:, self.flipped] = torch.tensor(shape)[self.axes][self.flipped] - 1 - turned[:, self.flipped]
        return turned

    def points_back(self, points: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Turn voxels (N, 3) from :meth:`points_there` back."""
        turned = points.clone()
        turned[:, self.flipped] = torch.tensor(shape)[self.axes][self.flipped] - 1 - turned[:, self.flipped]
        return turned[:, [self.axes.index(axis) for axis in range(3)]]
