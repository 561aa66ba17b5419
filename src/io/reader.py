"""Reading NIfTI files with the affine that they state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data import NibabelReader
from monai.utils import ensure_tuple

from ..checks import InputError
from .nifti import load_nifti, readable


class NiftiReader(NibabelReader):
    """MONAI's reader on top of :func:`csvd.io.nifti.load_nifti`, for ``LoadImaged``'s argument ``reader``.

    MONAI 1.6 compares ``pixdim`` with the affine over all dimensions of a file. In a 4-D file it so compares the time
    step with the length of the translation, finds a mismatch, and may replace the affine by another, without a word.
    """

    def read(self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any) -> Any:
        """Return the names. :meth:`get_data` loads the files: where ``read`` fails, MONAI tries its other readers."""
        self.filenames = ensure_tuple(data)
        return self.filenames

    def get_data(self, img: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Return voxels and meta data of the files of these names, in mm.

        Raises:
            InputError: see :func:`csvd.io.nifti.load_nifti`; or voxels are missing.
        """
        return super().get_data([load_nifti(name) for name in ensure_tuple(img)])

    def _get_array_data(self, img: Any, filename: Any) -> Any:
        name = f"file '{filename}'"
        try:
            with readable(name):
                return super()._get_array_data(img, filename)
        except OSError as error:
            raise InputError(f"{name} cannot be read ({error}): copy it again.") from None
