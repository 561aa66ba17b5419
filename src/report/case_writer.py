"""Ignite handler that writes the folder of results of each scan."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_folder
from .lesion_table import lesion_table, write_candidates, write_lesions
from .page import write_page
from .record import case_record
from .result_writer import ResultWriter, read_case, save_map
from .scene import make_scene


class CaseWriter(ResultWriter):
    """Write ``<output_dir>/<case>/``: instance map, probability map, tables of lesions and candidates, JSON, HTML page.

    The item of each scan, batch and output merged, holds ``pred`` (instance map) and ``prob`` (probability), both
    (1, H, W, D) meta tensors on the grid of the input file, which ``pred.meta`` names; where there are, ``mask``
    (brain mask on that grid), ``detector`` (probability of the first step), ``candidates`` (instance map of all
    candidates, whose numbers ``pred`` keeps), ``susceptibility`` (of the candidates, see
    :class:`csvd.transforms.Susceptibility`), ``subject`` (name of the case, else that of the file), ``contrast`` and
    ``notes``. Maps get the geometry of the file's header, bit for bit. A folder appears when all of it is written, or
    not at all.

    Args:
        output_dir: folder of the results.
        threshold: probability at which ``pred`` was made, for the record.
        kwargs: arguments of :class:`ResultWriter`.
    """

    def __init__(self, output_dir: str | os.PathLike[str], threshold: float, **kwargs: Any) -> None:
        super().__init__(output_dir, **kwargs)
        self.threshold = threshold

    def write(self, item: Mapping[str, Any]) -> Path:
        """Write the results of one scan and return their folder; raises as :meth:`ResultWriter.__call__`."""
        started = time.perf_counter()
        pred, prob = item["pred"].cpu(), item["prob"].cpu()
        scan, case, image, mask = read_case(item, pred)
        candidates, told = item.get("candidates", pred), item.get("susceptibility")
        everything = lesion_table(candidates, prob, scan.affine, mask, item.get("detector"), told)
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
            save_map(pred, np.int16, scan, folder / f"{case}_cmb.nii.gz", "csvd: suspected microbleeds")
            save_map(prob, np.float32, scan, folder / f"{case}_prob.nii.gz", "csvd: microbleed probability")
            write_lesions(lesions, folder / f"{case}_lesions.tsv")
            write_candidates(everything, kept, folder / f"{case}_candidates.tsv")
            scene = make_scene(image, pred, mask, scan.affine, record["contrast"])
            write_page(folder / f"{case}.html", record, lesions, scene)
            record["seconds"]["outputs"] = round(time.perf_counter() - started, ndigits=2)
            text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
            (folder / f"{case}.json").write_text(text + "\n", encoding="utf-8")
        return self.output_dir / case
