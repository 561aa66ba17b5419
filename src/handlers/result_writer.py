"""What the writers of results share: when they write, what they time, and maps on the grid of the input."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils import ImageMetaKey

from ..io.nifti import load_nifti
from ..names import folder_name

AFFINE_TOLERANCE = 1e-3


class ResultWriter(ABC):
    """Ignite handler that writes the folder of results of each scan.

    Args:
        output_dir: folder of the results.
        contrast: ``"dark"`` or ``"bright"`` lesions, unless the item says which.
        overwrite: replace an earlier result, once the new one is complete.
        settings: further settings, for the record.

    Attributes:
        also_write: called with the folder, complete but not yet in place, and the name of each case.
        records: content of the JSON of each case that was written, in order.
        seconds: that each step of the last scan took. They are no part of its result, which is the same each time.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        contrast: str = "dark",
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.contrast = contrast
        self.overwrite = overwrite
        self.settings = dict(settings or {})
        self.also_write: Callable[[Path, str], object] = lambda folder, case: None
        self.records: list[dict[str, Any]] = []
        self.seconds: dict[str, float] = {}
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Take the time of the steps of ``engine``, and write when an iteration is complete."""
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._start)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._stop, "preprocessing")
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop, "inference")
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _stop(self, step: str) -> None:
        self.seconds[step] = round(time.perf_counter() - self._started, ndigits=2)

    def __call__(self, engine: Engine) -> None:
        """Write every item of the batch.

        Raises:
            FileExistsError: a case has results already, and ``overwrite`` is false.
            RuntimeError: a map is not on the grid of the input file.
        """
        batch, output = cast(list[dict], engine.state.batch), cast(list[dict], engine.state.output)
        items = ({**inputs, **results} for inputs, results in zip(batch, output, strict=True))
        self.records += [self.write(item) for item in items]

    @abstractmethod
    def write(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write the results of one scan, batch and output merged, and return the content of its JSON."""


def read_case(
    item: Mapping[str, Any], result: MetaTensor
) -> tuple[nib.Nifti1Image, str, torch.Tensor, torch.Tensor | None]:
    """Return the file that a result (1, H, W, D) came from, the case's name, its image, and the brain mask, if any.

    Image (float32) and mask (bool) are (1, H, W, D); raises a RuntimeError if the result is not on the file's grid.
    """
    scan = load_nifti(result.meta[ImageMetaKey.FILENAME_OR_OBJ])
    case = str(item.get("case", folder_name(stem_of(str(scan.get_filename())))))
    check_grid(result, scan, case)
    mask = item.get("mask")
    mask = None if mask is None else mask.cpu() > 0.5  # resampled back to the file's grid, it has soft edges
    return scan, case, read_volume(scan, result), mask


def stem_of(path: str) -> str:
    """Return the name of a NIfTI file without its extension."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def check_grid(pred: MetaTensor, scan: nib.Nifti1Image, case: str) -> None:
    """Raise a RuntimeError unless a map has the shape and the affine of the input file."""
    shape, shift = tuple(pred.shape[1:]), float(np.abs(pred.affine.numpy() - scan.affine).max())
    if shape != scan.shape[:3] or shift > AFFINE_TOLERANCE:
        raise RuntimeError(
            f"cannot write case '{case}': its result must be on the grid of '{scan.get_filename()}', shape "
            f"{scan.shape[:3]}, it has shape {shape} and an affine that differs by {shift:.3g}. Check `postprocessing`."
        )


def read_volume(scan: nib.Nifti1Image, pred: MetaTensor) -> torch.Tensor:
    """Return the volume of the file that was worked on, (1, H, W, D) float32."""
    index = () if len(scan.shape) == 3 else (..., int(pred.meta.get("volume", {}).get("index", 0)))
    return torch.from_numpy(np.asarray(scan.dataobj[index], dtype=np.float32))[None]


def save_map(values: MetaTensor, dtype: type, scan: nib.Nifti1Image, path: Path, description: str) -> None:
    """Save (1, H, W, D) with the geometry of the file, and none of its texts, which may name a person."""
    own = load_nifti(str(scan.get_filename()), in_mm=False)
    header = own.header.copy()
    header.extensions.clear()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header.set_intent("none")
    texts = {"descrip": description, "aux_file": "", "db_name": "", "data_type": ""}
    for field in texts.keys() & header.keys():  # NIfTI-2 lacks the last two
        header[field] = texts[field]
    header["cal_min"], header["cal_max"] = 0, 0
    nib.save(own.__class__(values[0].numpy().astype(dtype), own.affine, header), path)
