"""Argument checks and the words that errors use for an image."""

from collections.abc import Collection, Hashable, Sequence
from importlib.util import find_spec
from itertools import product
from typing import Any

import nibabel as nib
import numpy as np

GRID_TOLERANCE = 0.1
"""Share of the smallest voxel by which the corners of a grid may be off."""
LONGEST = 300
"""Letters of what others say in an error."""
LONGEST_LINE = 1000
"""Letters of an error: of longer ones, which repeat what a file has, start and end are enough."""
EXTRAS = {
    "dicom": ("DICOM needs", ("dcm2niix", "dicomweb_client", "highdicom", "pydicom", "requests")),
    "experiments": ("this command needs", ("fire", "matplotlib", "openpyxl", "sklearn", "statsmodels", "tensorboard")),
}
"""Optional dependencies of the package: who needs them, and the modules that they bring."""


class InputError(ValueError):
    """A file or folder of the user breaks a rule: one line with its name, the rule, the value and what to do."""


class BundleError(RuntimeError):
    """A bundle that did not come with csvd, whose folder is the text, failed in a way that nobody foresaw."""


def describe(image: Any) -> str:
    """Return ``image 'sub-01_swi.nii.gz'`` when the file name is known, else the shape, for error messages."""
    name = getattr(image, "meta", {}).get("filename_or_obj")  # of a MetaTensor; importing MONAI takes seconds
    return f"image '{name}'" if name else f"image of shape {tuple(image.shape)}"


def check_extra(extra: str) -> None:
    """Raise an InputError unless an optional dependency of the package, see :data:`EXTRAS`, is installed."""
    purpose, modules = EXTRAS[extra]
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"{purpose} the Python packages {', '.join(missing)}: pip install 'csvd[{extra}]'")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ValueError`` unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise ValueError(f"`{name}` must be between {low} and {high}, got {value!r}.")


def check_positive(name: str, value: float) -> None:
    """Raise ``ValueError`` unless ``value > 0``."""
    if not value > 0:
        raise ValueError(f"`{name}` must be above 0, got {value!r}.")


def check_one_of(name: str, value: Hashable, allowed: Collection[Hashable]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {value!r}.")


def check_one_channel(image: Any, action: str) -> None:
    """Raise ``ValueError`` unless ``image`` is one channel of a volume, (1, H, W, D)."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise InputError(
            f"cannot {action} {describe(image)}: its shape is {tuple(image.shape)}, it needs to be (1, H, W, D)."
        )


def check_same_shape(image: Any, other: Any, action: str, name: str = "mask") -> None:
    """Raise ``ValueError`` unless the spatial shapes of the channel-first ``image`` and of its ``name`` are equal."""
    if image.shape[1:] != other.shape[1:]:
        raise InputError(
            f"cannot {action} {describe(image)}: its shape is {tuple(image.shape[1:])}, "
            f"its {name}'s {tuple(other.shape[1:])}."
        )


def corners_apart(affine: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> float:
    """Return how many mm the corners of two grids lie apart; 0 where it is within :data:`GRID_TOLERANCE`.

    Args:
        affine, other: (4, 4), voxel to mm.
        shape: voxels along the three axes, of both.
    """
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in shape))])
    shift = float(np.abs(corners @ (affine - other).T).max())
    return shift if shift > GRID_TOLERANCE * nib.affines.voxel_sizes(affine).min() else 0.0


def cause_of(error: BaseException) -> BaseException:
    """Return the error of a chain that tells most: our own if there is one, else the one that started it.

    MONAI wraps the errors of transforms in its own, and ours are often raised from those of a library.
    """
    chain = _chain(error)
    return next((one for one in chain if isinstance(one, InputError)), chain[-1])


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and, one after the other, what each was raised from."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain


def is_foreseen(error: BaseException) -> bool:
    """Return whether an error tells of the user's files or machine; any other is a fault of this program."""
    return isinstance(cause_of(error), InputError | OSError)


def reason(error: BaseException) -> str:
    """Return in one line why something failed; what was not foreseen is called an internal error."""
    cause = cause_of(error)
    text = " ".join(str(cause).split())
    if is_foreseen(error):
        return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - LONGEST]}…{text[1 - LONGEST :]}"
    what = f"internal error, {type(cause).__name__}: {shortened(text)}."
    bundle = next((one for one in _chain(error) if isinstance(one, BundleError)), None)
    unless = f", unless it is the fault of bundle '{bundle}', which did not come with csvd" if bundle else ""
    return f"{what} Report it, with its traceback (--log FILE or --debug){unless}."


def shortened(value: Any) -> str:
    """Return a value as text of at most :data:`LONGEST` letters, in one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
