"""Connected components of masks."""

import numpy as np
from scipy import ndimage


def label_components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the components of a mask whose voxels touch by a face, an edge or a corner.

    Args:
        mask: (H, W, D) or (H, W), non-zero inside.

    Returns:
        int32 labels of the same shape, 0 outside and 1 to N inside, and N.
    """
    return ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
