"""Region growing: turn points and boxes, as people annotate microbleeds, into masks."""

from collections.abc import Sequence

import torch
from monai.utils import convert_to_tensor
from torch.nn.functional import max_pool3d

from ...checks import InputError, check_one_channel, check_one_of, describe
from ..grid.gather_patches import gather_patches
from ..intensity.contrast import CONTRASTS

IN_PLANE, THROUGH_PLANE = 5, 3  # voxels, as in the paper


def growing_radius(spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return how far, in voxels, a region may grow along each axis: less along the axis of the thickest voxels."""
    slices = max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))
    along = [THROUGH_PLANE if axis == slices else IN_PLANE for axis in range(3)]
    return along[0], along[1], along[2]


def grow_lesions(
    image: torch.Tensor,
    points: torch.Tensor,
    *,
    spacing: Sequence[float],
    contrast: str,
    half_sizes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return numbered lesions grown from points or inside boxes, after [1]_.

    The seed is the most extreme voxel beside the point, or in the box. A voxel belongs to the lesion when it hangs
    together with the seed and its value lies beyond a level that rises with its distance: from half way between the
    median of the surroundings and the seed at the seed to the seed's own value 5 voxels away in plane and 3 through
    plane, where growing ends. The paper names the radii and says that intensity and distance count; the level is ours.

    Args:
        image: (1, H, W, D).
        points: (N, 3) in voxels, inside the volume.
        spacing: voxel size in mm, to tell the slice axis.
        contrast: "dark" or "bright" microbleeds.
        half_sizes: (N, 3) half the size of a box around each point, in voxels, which the lesion does not leave.

    Returns:
        (1, H, W, D) int32: lesion n has n + 1. Where two meet, the first keeps the voxel. A lesion has one voxel at
        least, unless an earlier one has it already.

    Raises:
        InputError: ``image`` is not one channel of a volume, ``contrast`` is neither, or a point lies outside.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 3.1.
    """
    check_one_channel(image, "grow lesions in")
    check_one_of("contrast", contrast, CONTRASTS)
    values = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    values = values if contrast == "bright" else -values
    size = torch.tensor(values.shape[1:])
    seeds = points.round().long().cpu()
    if ((seeds < 0) | (seeds >= size)).any():
        wrong = seeds[((seeds < 0) | (seeds >= size)).any(dim=1)][0].tolist()
        raise InputError(f"cannot grow lesions in {describe(image)}: voxel {wrong} lies outside {size.tolist()}.")
    radius = torch.tensor(growing_radius(spacing))
    reach = torch.ones_like(seeds) if half_sizes is None else half_sizes.round().long().cpu().clamp(min=0)
    reach = torch.minimum(reach, radius)
    offsets = torch.cartesian_prod(*(torch.arange(-r, r + 1) for r in radius.tolist()))  # (P, 3), a patch's voxels
    window = [2 * r + 1 for r in radius.tolist()]

    def around(centres: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
        return gather_patches(volume, centres, window)[:, 0].flatten(1).cpu()  # (N, P)

    inside = torch.ones_like(values)
    near = (offsets[None].abs() <= reach[:, None]).all(dim=2) & (around(seeds, inside) > 0)
    extreme = around(seeds, values).masked_fill(~near, -torch.inf)
    extreme = extreme == extreme.amax(dim=1, keepdim=True)
    distance = (offsets / radius).norm(dim=1)  # 1 where growing ends
    moved = offsets[distance.where(extreme, torch.inf).argmin(dim=1)]  # from the point to the seed, (N, 3)
    seeds = seeds + moved

    patch = around(seeds, values)
    there = around(seeds, inside) > 0
    background = patch.masked_fill(~there, torch.nan).nanmedian(dim=1, keepdim=True).values
    peak = patch[:, len(offsets) // 2, None]
    allowed = there & (patch >= background + (peak - background) * (0.5 + 0.5 * distance.square()))
    if half_sizes is not None:
        allowed &= ((offsets[None] + moved[:, None]).abs() <= half_sizes.cpu()[:, None].clamp(min=0.5)).all(dim=2)
    allowed[:, len(offsets) // 2] = True

    grown = torch.zeros_like(allowed)
    grown[:, len(offsets) // 2] = True
    for _ in range(2 * IN_PLANE):
        shape = (len(grown), 1, *window)
        spread = max_pool3d(grown.view(shape).float(), kernel_size=3, stride=1, padding=1)
        grown = (spread.flatten(1) > 0) & allowed

    label = torch.zeros(values.shape[1:], dtype=torch.int32)
    for number, (seed, region) in reversed(list(enumerate(zip(seeds, grown, strict=True), start=1))):
        label[tuple((seed + offsets[region]).T)] = number
    return label[None].to(values.device)
