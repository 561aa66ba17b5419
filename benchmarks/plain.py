"""Straightforward NumPy, SciPy and scikit-image versions of two steps, to time ours beside.

Whole arrays at a time and no loop over voxels, as one would write them first. They need not agree with ours voxel by
voxel; the tests compare with references written for that.
"""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.vq import kmeans2, whiten
from scipy.ndimage import gaussian_filter
from skimage.feature import structure_tensor, structure_tensor_eigenvalues
from skimage.filters import frangi
from skimage.measure import label, regionprops


def radial_symmetry(volume: np.ndarray, radii_mm: Sequence[float], spacing: Sequence[float]) -> np.ndarray:
    """Return the fast radial symmetry transform of (H, W, D) for bright balls, after Loy and Zelinsky."""
    gradient = np.stack(np.gradient(volume.astype(float), *spacing))
    magnitude = np.linalg.norm(gradient, axis=0)
    direction = gradient / np.maximum(magnitude, 1e-12)
    voxels = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"))
    size = np.array(volume.shape)[:, None, None, None]
    total = np.zeros(volume.shape)
    for radius in radii_mm:
        step = np.rint(direction * radius / np.reshape(spacing, (3, 1, 1, 1))).astype(int)
        target = voxels + step
        votes = (magnitude > 0) & np.all((target >= 0) & (target < size), axis=0)
        place = tuple(target[:, votes])
        count, strength = np.zeros(volume.shape), np.zeros(volume.shape)
        np.add.at(count, place, 1)
        np.add.at(strength, place, magnitude[votes])
        limit = 9.9  # k_n of the paper
        symmetry = strength / limit * (np.minimum(count, limit) / limit) ** 2
        total += gaussian_filter(symmetry, 0.25 * radius / np.asarray(spacing))
    return total / len(radii_mm)


def vessels(volume: np.ndarray, brain: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the elongated segments of the smaller of two clusters of vesselness and structure tensor."""
    volume = np.where(brain, volume, np.median(volume[brain])).astype(float)
    mean_mm = np.prod(spacing) ** (1 / 3)
    vesselness = frangi(volume, sigmas=[mm / mean_mm for mm in (0.6, 1.0, 1.5)], black_ridges=False)
    shape = structure_tensor_eigenvalues(structure_tensor(volume, sigma=1 / mean_mm))
    features = whiten(np.stack([vesselness[brain], *shape[:, brain]], axis=1))
    _, cluster = kmeans2(features, 2, minit="++", seed=0)
    candidates = np.zeros(volume.shape, dtype=bool)
    candidates[brain] = cluster == np.bincount(cluster).argmin()
    result = np.zeros(volume.shape, dtype=bool)
    for segment in regionprops(label(candidates), spacing=spacing):
        if segment.num_pixels > 8 and segment.axis_major_length > max(8, 2.5 * segment.axis_minor_length):
            result[tuple(segment.coords.T)] = True
    return result
