"""Built-in brain extraction: thresholds and distances, nothing to download."""

import numpy as np
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch.nn.functional import avg_pool3d, interpolate

WORK_MM = 2.0
"""Voxels are averaged to about this size; thicker slices stay."""
HEIGHT = 0.5
"""The edge of the brain is where the signal falls to this share of the level inside."""
LOCAL_MM = 15.0
"""Standard deviation of the Gaussian over which the signal level is taken."""
HEAD_MM = 170.0
"""From the top of the head to the end of the brain, at most; below it lies the neck."""
OPEN_MM = (5.0, 12.5)
"""Bridges of less than twice this thickness are cut. The radius grows from the first value until that costs little."""
STEP_MM = 1.5
KEEP = 0.95
"""A step of the radius that keeps this share of the volume cuts nothing off the brain any more."""
EDGE_MM = 3.0
"""The edge is also at half of the brightest signal this far around it, which may be CSF."""
CLOSE_MM = 5.0
"""Sulci, veins and bleeds at the surface that are narrower than twice this length belong to the brain."""
ALL_TISSUE = 0.9
"""A volume of which this share is tissue is a part of a brain without air: all of it is brain."""


def extract_brain(volume: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the brain on a magnitude image: the largest solid of tissue that the dark skull surrounds.

    The brain is what is above half of the local signal level, cut loose from scalp, muscle and eyes by an opening whose
    radius grows until nothing large comes off, then closed over sulci and filled. A field of view without air is
    brain as a whole.

    Args:
        volume: (H, W, D) float32 of 0 and above, slices along the last axis.
        affine: (4, 4) voxel to RAS mm, for voxel sizes and for where up is.

    Returns:
        (H, W, D) Boolean array.
    """
    size = np.linalg.norm(affine[:3, :3], axis=0)
    block = [max(1, round(WORK_MM / float(edge))) for edge in size]
    coarse = avg_pool3d(torch.from_numpy(volume)[None, None], block, ceil_mode=True)[0, 0].numpy()
    size = size * block
    smooth = ndimage.gaussian_filter(coarse, 1 / size)
    tissue = find_tissue(smooth, size, affine[2, :3] * block)
    if tissue.mean() > ALL_TISSUE:
        return np.ones(volume.shape, bool)
    brain = fill_slices(close(trim(cut_loose(tissue, size), smooth, size), size))
    fine = interpolate(torch.from_numpy(brain)[None, None].float(), scale_factor=[*map(float, block)], mode="trilinear")
    return (fine[0, 0] > 0.5).numpy()[tuple(slice(n) for n in volume.shape)]


def find_tissue(smooth: np.ndarray, size: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return where the signal is above a share of the signal deep in the head, which varies with the coils' bias.

    Args:
        smooth: (H, W, D) image without noise.
        size: (3,) voxel size in mm.
        up: (3,) mm that a step along each axis climbs.
    """
    # The root and the limit keep bright fat from drawing Otsu's threshold above the brain.
    rooted = np.sqrt(np.minimum(smooth, np.percentile(smooth, 99)))
    above_air = rooted > threshold_otsu(rooted)
    head = fill_slices(above_air)
    height = np.tensordot(up, np.indices(smooth.shape), axes=1)
    above_neck = height > height[largest(head)].max() - HEAD_MM
    head &= above_neck
    depth = depth_mm(head, size)
    deep = head & (depth > min(20, 0.5 * depth.max()))
    level = np.median(smooth[deep & above_air])
    # The mean around each voxel of what is deep, tissue, and at most half above the level.
    weight = (deep & (smooth > 0.25 * level)).astype(np.float32)
    signal = weight * np.minimum(smooth, 1.5 * level)
    near, nearby = (ndimage.gaussian_filter(part, LOCAL_MM / size, truncate=3) for part in (signal, weight))
    local = (near + 1e-3 * level) / (nearby + 1e-3)
    return (smooth > HEIGHT * local) & above_neck


def cut_loose(tissue: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the thickest solid of ``tissue`` without what hangs on it by bridges."""
    depth = depth_mm(tissue, size)  # the faces of the volume are no edge

    def solid(radius: float) -> np.ndarray:
        labels, _ = ndimage.label(depth > min(radius, 0.5 * depth.max()))
        core = labels == labels.flat[depth.argmax()]
        return tissue & grown(core, size, radius + 1)

    brain = solid(OPEN_MM[0])
    for radius in np.arange(OPEN_MM[0] + STEP_MM, OPEN_MM[1], STEP_MM):
        smaller = solid(radius)
        if smaller.sum() > KEEP * brain.sum():
            break
        brain = smaller
    return brain


def trim(brain: np.ndarray, smooth: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return ``brain`` without the blurred rim of what is brighter than brain, such as CSF."""
    window = [2 * round(EDGE_MM / edge) + 1 for edge in size]
    return brain & (smooth > HEIGHT * ndimage.maximum_filter(smooth * brain, size=window))


def close(mask: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return ``mask`` with gaps narrower than twice ``CLOSE_MM`` filled; beyond the faces it goes on as it ends."""
    margin = [int(CLOSE_MM / edge) + 2 for edge in size]
    padded = np.pad(mask, [(n, n) for n in margin], mode="edge")
    closed = depth_mm(grown(padded, size, CLOSE_MM), size) > CLOSE_MM
    return mask | closed[tuple(slice(n, -n) for n in margin)]


def fill_slices(mask: np.ndarray) -> np.ndarray:
    """Return ``mask`` with the holes in each slice filled: those open downwards to the skull base too."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[:, :, 1] = ndimage.generate_binary_structure(2, 1)
    parts, count = ndimage.label(~mask, in_plane)
    holes = np.ones(count + 1, bool)
    for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        holes[side] = False
    holes[0] = True
    return holes[parts]


def depth_mm(mask: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the distance of each voxel of ``mask`` to the nearest one outside; 0 there."""
    depth, box = np.zeros(mask.shape), _box(mask, np.ones(3, int))
    depth[box] = ndimage.distance_transform_edt(mask[box], sampling=size)
    return depth


def grown(mask: np.ndarray, size: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return what lies within ``radius_mm`` of ``mask``."""
    near, box = np.zeros(mask.shape, bool), _box(mask, np.ceil(radius_mm / size).astype(int))
    near[box] = ndimage.distance_transform_edt(~mask[box], sampling=size) <= radius_mm
    return near


def _box(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """Return the box of ``mask`` and of as many voxels around it, the only part of a volume with distances to find."""
    if not mask.any():
        return (slice(None),) * 3
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(slice(max(0, side.start - n), side.stop + n) for side, n in zip(box, margin.tolist(), strict=True))


def largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part of ``mask``."""
    labels, _ = ndimage.label(mask)
    return labels == 1 + np.bincount(labels.ravel())[1:].argmax()
