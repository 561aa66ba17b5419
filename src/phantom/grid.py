"""The scanner's grid and the finer one on which signals are simulated."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool3d

from .anatomy import ORIGIN_MM, Warp, tissue_template
from .protocols import Protocol

BRAIN_MARGIN_MM = 4.0  # what is simulated around a brain without head, for the field there
SKIN_MM = 13.0  # where the head ends, outside the brain


@dataclass
class Grid:
    """Acquisition grid and the fine grid over the part of it that holds the head.

    Args:
        affine: (4, 4) acquisition voxel to scanner RAS mm.
        shape: size of the acquisition grid.
        box: the part of it that is simulated.
        factor: fine voxels per acquisition voxel along each axis.
    """

    affine: torch.Tensor
    shape: tuple[int, int, int]
    box: tuple[slice, slice, slice]
    factor: tuple[int, int, int]

    @property
    def voxel_mm(self) -> torch.Tensor:
        """Acquisition voxel size, (3,) mm."""
        return self.affine[:3, :3].norm(dim=0)

    @property
    def fine_mm(self) -> torch.Tensor:
        """Fine voxel size, (3,) mm."""
        return self.voxel_mm / torch.tensor(self.factor)

    @property
    def fine_shape(self) -> torch.Size:
        """Size of the fine grid."""
        return torch.Size((s.stop - s.start) * f for s, f in zip(self.box, self.factor, strict=True))

    @property
    def fine_affine(self) -> torch.Tensor:
        """(4, 4) fine voxel to scanner RAS mm."""
        factor = torch.tensor(self.factor)
        first = torch.tensor([float(s.start) for s in self.box]) - 0.5 + 0.5 / factor
        affine = torch.eye(4)
        affine[:3, :3] = self.affine[:3, :3] / factor
        affine[:3, 3] = self.affine[:3, :3] @ first + self.affine[:3, 3]
        return affine

    @property
    def b0_direction(self) -> torch.Tensor:
        """Scanner z in the axes of the grid, (3,)."""
        return (self.affine[:3, :3] / self.voxel_mm)[2]

    def average(self, fine: torch.Tensor) -> torch.Tensor:
        """Average a fine volume over each acquisition voxel of the box."""
        return avg_pool3d(fine[None], self.factor)[0]

    def embed(self, boxed: torch.Tensor) -> torch.Tensor:
        """Put a volume of the box into the whole acquisition grid, zero elsewhere."""
        whole = boxed.new_zeros(self.shape)
        whole[self.box] = boxed
        return whole


def make_grid(protocol: Protocol, warp: Warp, rng: np.random.Generator, head: bool) -> Grid:
    """Lay the slices over a head and move the head near the middle of the field of view.

    Args:
        protocol: geometry. Its slices are tilted by ``oblique_deg`` about a random transverse axis.
        warp: its ``shift`` is set here.
        rng: source of all randomness.
        head: simulate the whole field of view, large enough for the scalp, instead of the part that holds the brain.
    """
    azimuth, angle = rng.uniform(0, 2 * np.pi), np.radians(protocol.oblique_deg)
    axis = angle * np.array([np.cos(azimuth), np.sin(azimuth), 0])
    tilt = torch.matrix_exp(
        torch.tensor([[0, 0, axis[1]], [0, 0, -axis[0]], [-axis[1], axis[0], 0]], dtype=torch.float32)
    )
    voxel = torch.tensor(protocol.voxel_mm)
    surface = tissue_template()[3, ::4, ::4, ::4].nonzero() * 4.0 + torch.tensor(ORIGIN_MM)
    place = warp.to_world(surface) @ tilt / voxel
    margin = (2 + (SKIN_MM if head else BRAIN_MARGIN_MM)) / voxel
    low, high = place.amin(0) - margin, place.amax(0) + margin
    needed = (high - low).ceil().long()
    shape = protocol.matrix or tuple(int(n) + int(rng.integers(2, 13)) for n in needed)
    middle = (torch.tensor(shape) - 1) / 2
    affine = torch.eye(4)
    affine[:3, :3] = tilt * voxel
    affine[:3, 3] = -affine[:3, :3] @ middle
    off_centre = torch.from_numpy(rng.uniform(-2, 2, 3)).float()
    warp.shift = -affine[:3, :3] @ ((low + high) / 2) + off_centre
    first = (middle - needed / 2 + off_centre / voxel).floor().long()
    last = first + needed + 2
    if head:
        first, last = torch.zeros_like(first), torch.tensor(shape)
    box = tuple(slice(max(0, int(a)), min(n, int(b))) for a, b, n in zip(first, last, shape, strict=True))
    factor = tuple(int(np.ceil(h / protocol.fine_mm - 1e-6)) for h in protocol.voxel_mm)
    return Grid(affine, shape, box, (factor[0], factor[1], max(2, factor[2])))  # type: ignore[arg-type]
