"""Reading NIfTI files with the affine that they state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import nibabel as nib
from monai.data import NibabelReader
from monai.utils import ensure_tuple


class NiftiReader(NibabelReader):
    """MONAI's reader without its correction of affines, for ``LoadImaged``'s argument ``reader``.

    MONAI 1.6 compares ``pixdim`` with the affine over all dimensions of a file. In a 4-D file it so compares the time
    step with the length of the translation, finds a mismatch, and may replace the affine by another, without a word.
    """

    def read(self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any) -> Any:
        """Return the NiBabel image of a file, or a list of them."""
        self.filenames = ensure_tuple(data)
        images = [nib.load(name, **{**self.kwargs, **kwargs}) for name in self.filenames]
        return images if len(images) > 1 else images[0]
