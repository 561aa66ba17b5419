"""Maps of lesions from lists of voxels: no more than these is looked at of a large volume."""

from __future__ import annotations

import torch
from monai.utils import convert_to_dst_type


def drawn(where: torch.Tensor, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a map (1, H, W, D) with values (V,) in voxels (V, 3) and 0 elsewhere."""
    result = torch.zeros(like.shape, dtype=like.dtype)
    result[0][tuple(where.T)] = values.to(like.dtype)
    return convert_to_dst_type(result, like)[0]


def highest_of(values: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return the highest of the values (V,) of each of the lesions (N,), from the lesions (V,) of voxels."""
    row = torch.zeros(int(ids.max()) + 1 if len(ids) else 1, dtype=torch.long)
    row[ids] = torch.arange(len(ids))
    return values.new_zeros(len(ids)).scatter_reduce(0, row[labels], values, "amax", include_self=False)


def apart(
    ids: torch.Tensor, cores: torch.Tensor, numbers: torch.Tensor, where: torch.Tensor, shape: torch.Size
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which voxels of lesions do not touch an earlier lesion, and the row of the lesion of each; cores stay.

    Args:
        ids: of the lesions, (M,).
        cores: voxels, (M, 3).
        numbers: the lesion of each voxel, (V,).
        where: all voxels, (V, 3).
        shape: of the volume.
    """
    taken = torch.zeros(shape, dtype=torch.bool)
    last, beside = torch.tensor(taken.shape) - 1, torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
    order = numbers.argsort(stable=True)
    sizes = dict(zip(*(part.tolist() for part in numbers[order].unique_consecutive(return_counts=True)), strict=True))
    voxels = dict(zip(sizes, order.split([*sizes.values()]), strict=True))
    shown, lesions = [], []
    for row, (number, core) in enumerate(zip(ids.tolist(), cores, strict=True)):
        mine = where[voxels[number]]
        around = torch.minimum((mine[:, None] + beside).clamp(min=0), last)
        free = ~taken[around.unbind(dim=2)].any(dim=1) | (mine == core).all(dim=1)
        taken[tuple(mine[free].T)] = True
        shown.append(voxels[number][free])
        lesions.append(torch.full((len(shown[-1]),), row))
    nothing = torch.zeros(0, dtype=torch.long)
    return torch.cat([nothing, *shown]), torch.cat([nothing, *lesions])
