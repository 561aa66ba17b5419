"""Maps of the MNI152 template: brain, grey and white matter, on grids of 1 and 2 mm."""

from functools import lru_cache

import numpy as np


def mni_maps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return brain (bool) and the fractions of grey and white matter on the 1 mm MNI152 grid, and its affine (4, 4)."""
    from nilearn import datasets  # here, because training imports this package and needs no template

    names = ("brain_mask", "gm_template", "wm_template")
    images = [getattr(datasets, f"load_mni152_{name}")(resolution=1) for name in names]
    brain, grey, white = (np.asarray(image.dataobj) for image in images)
    return brain > 0, grey, white, images[0].affine


@lru_cache(maxsize=1)
def mni_tissue() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return brain (bool) and the fractions of grey and white matter on the 2 mm MNI152 grid, and its affine (4, 4)."""
    *maps, affine = mni_maps()
    # Every second voxel is what resolution=2 interpolates, in a tenth of its time.
    brain, grey, white = (part[::2, ::2, ::2] for part in maps)
    return brain, grey, white, affine @ np.diag([2, 2, 2, 1])


def mni_coordinates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and z in mm of the 2 mm MNI152 grid, each of a shape that broadcasts to that of the grid."""
    brain, _, _, affine = mni_tissue()
    x, y, z = (
        index * affine[axis, axis] + affine[axis, 3] for axis, index in enumerate(np.indices(brain.shape, sparse=True))
    )
    return x, y, z
