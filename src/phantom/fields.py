"""Smooth fields on a grid: of the air below the brain, of the coils around the head, and random ones."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from .anatomy import CENTRE_MM, Warp
from .grid import Grid
from .physics import air_field


def air_on_grid(grid: Grid, warp: Warp, rng: np.random.Generator, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the field of the air in ppm on the fine grid, less its mean as after shimming, from nodes of 3 mm."""
    nodes = [max(2, int(n * float(h) / 3)) for n, h in zip(grid.fine_shape, grid.fine_mm, strict=True)]
    axes = [torch.linspace(0, n - 1, k) for n, k in zip(grid.fine_shape, nodes, strict=True)]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    mni = warp.to_mni(index @ grid.fine_affine[:3, :3].T + grid.fine_affine[:3, 3])
    up = warp.matrix[:, 2] / warp.matrix[:, 2].norm()
    field = air_field(mni, up, rng)
    inside = (mni - torch.tensor(CENTRE_MM)).norm(dim=-1) < 60
    field = field - field[inside].mean() if inside.any() else field
    return _upsample(field.to(device), grid.fine_shape)


def smooth_noise(
    rng: np.random.Generator,
    voxel_mm: torch.Tensor,
    shape: torch.Size,
    scale_mm: float,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return smooth noise of standard deviation near 1 that varies over ``scale_mm``."""
    nodes = [max(2, int(n * float(h) / scale_mm) + 2) for n, h in zip(shape, voxel_mm, strict=True)]
    noise = torch.from_numpy(rng.standard_normal((1, 1, *nodes), dtype=np.float32))
    # Twice interpolated, so that the result has no kinks at the nodes.
    smooth = interpolate(noise, scale_factor=4, mode="trilinear", align_corners=True)
    smooth = torch.nn.functional.avg_pool3d(smooth, 5, stride=1, padding=2, count_include_pad=False)
    return _upsample(smooth[0, 0].to(device), shape)


def coil_shading(rng: np.random.Generator, shape: torch.Size) -> torch.Tensor:
    """Return by how much an image is brighter near the coils: 1 at a point near the middle, up to 3 in the corners."""
    shares = [torch.linspace(-1, 1, n) - float(rng.uniform(-0.4, 0.4)) for n in shape]
    weights = rng.dirichlet((2, 2, 1))
    distance = [float(w) * share**2 for w, share in zip(weights, shares, strict=True)]
    x, y, z = torch.meshgrid(*distance, indexing="ij")
    return (float(rng.uniform(0, 1.2)) * (x + y + z)).exp()


def _upsample(coarse: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return interpolate(coarse[None, None], size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
