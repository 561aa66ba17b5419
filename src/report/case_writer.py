"""Ignite handler that writes the folder of results of each scan."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils import ImageMetaKey

from ..files import atomic_folder
from .lesion_table import lesion_table, write_candidates, write_lesions
from .page import write_page
from .record import case_record
from .scene import make_scene

AFFINE_TOLERANCE = 1e-3


class CaseWriter:
    """Write ``<output_dir>/<case>/``: instance map, probability map, tables of lesions and candidates, JSON, HTML page.

    The item of each scan, batch and output merged, holds ``pred`` (instance map) and ``prob`` (probability), both
    (1, H, W, D) meta tensors on the grid of the input file, which ``pred.meta`` names; where there are, ``mask``
    (brain mask on that grid), ``detector`` (probability of the first step), ``candidates`` (instance map of all
    candidates, whose numbers ``pred`` keeps), ``subject`` (name of the case, else that of the file), ``contrast`` and
    ``notes``. Maps get the geometry of the file's header, bit for bit. A folder appears when all of it is written, or
    not at all.

    Args:
        output_dir: folder of the results.
        threshold: probability at which ``pred`` was made, for the record.
        contrast: ``"dark"`` or ``"bright"`` lesions, unless the item says which.
        overwrite: replace an earlier result, once the new one is complete.
        settings: further settings, for the record.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        threshold: float,
        contrast: str = "dark",
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.threshold = threshold
        self.contrast = contrast
        self.overwrite = overwrite
        self.settings = dict(settings or {})
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
        for inputs, results in zip(batch, output, strict=True):
            self.write({**inputs, **results})

    def write(self, item: Mapping[str, Any]) -> Path:
        """Write the results of one scan and return their folder; raises as :meth:`__call__`."""
        started = time.perf_counter()
        pred, prob, mask = item["pred"].cpu(), item["prob"].cpu(), item.get("mask")
        scan = cast(nib.Nifti1Image, nib.load(pred.meta[ImageMetaKey.FILENAME_OR_OBJ]))
        case = str(item.get("subject", _stem(str(scan.get_filename()))))
        _check_grid(pred, scan, case)
        mask = None if mask is None else mask.cpu() > 0.5  # resampled back to the file's grid, it has soft edges
        image = _volume(scan, pred)
        everything = lesion_table(item.get("candidates", pred), prob, scan.affine, mask, item.get("detector"))
        kept = set(pred.unique().tolist())
        lesions = [lesion for lesion in everything if lesion.id in kept]
        record = {
            **case_record(case, item, scan, image, lesions),
            "candidates": len(everything),
            "threshold": self.threshold,
            "contrast": item.get("contrast", self.contrast),
            "settings": self.settings,
            "seconds": dict(self.seconds),
        }
        with atomic_folder(self.output_dir / case, self.overwrite) as folder:
            _save(pred, np.int16, scan, folder / f"{case}_cmb.nii.gz", "csvd: suspected microbleeds")
            _save(prob, np.float32, scan, folder / f"{case}_prob.nii.gz", "csvd: microbleed probability")
            write_lesions(lesions, folder / f"{case}_lesions.tsv")
            write_candidates(everything, kept, folder / f"{case}_candidates.tsv")
            scene = make_scene(image, pred, mask, scan.affine, record["contrast"])
            write_page(folder / f"{case}.html", record, lesions, scene)
            record["seconds"]["outputs"] = round(time.perf_counter() - started, ndigits=2)
            text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
            (folder / f"{case}.json").write_text(text + "\n", encoding="utf-8")
        return self.output_dir / case


def _stem(path: str) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def _check_grid(pred: MetaTensor, scan: nib.Nifti1Image, case: str) -> None:
    shape, shift = tuple(pred.shape[1:]), float(np.abs(pred.affine.numpy() - scan.affine).max())
    if shape != scan.shape[:3] or shift > AFFINE_TOLERANCE:
        raise RuntimeError(
            f"cannot write case '{case}': its result must be on the grid of '{scan.get_filename()}', shape "
            f"{scan.shape[:3]}, it has shape {shape} and an affine that differs by {shift:.3g}. Check `postprocessing`."
        )


def _volume(scan: nib.Nifti1Image, pred: MetaTensor) -> torch.Tensor:
    """Return the volume of the file that was worked on, (1, H, W, D) float32."""
    index = () if len(scan.shape) == 3 else (..., int(pred.meta.get("volume", {}).get("index", 0)))
    return torch.from_numpy(np.asarray(scan.dataobj[index], dtype=np.float32))[None]


def _save(values: MetaTensor, dtype: type, scan: nib.Nifti1Image, path: Path, description: str) -> None:
    """Save (1, H, W, D) with the geometry of the file, and none of its texts, which may name a person."""
    header = scan.header.copy()
    header.extensions.clear()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header.set_intent("none")
    header["descrip"], header["aux_file"], header["db_name"] = description, "", ""
    header["cal_min"], header["cal_max"] = 0, 0
    nib.save(scan.__class__(values[0].numpy().astype(dtype), scan.affine, header), path)
