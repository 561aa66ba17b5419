"""Ignite handler that writes the folder of results of each scan."""

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..anatomy.registration import align_to_mni
from ..io.files import atomic_folder, sha256
from ..io.lesion_tables import write_candidates, write_lesions
from ..io.records import DICOM_ENDS, check_not_corrected, write_record
from ..io.slicer.points import write_markups
from ..lesions.record import case_record
from ..lesions.table import lesion_table
from ..report.page import write_page
from ..report.scene import make_scene
from .result_writer import ResultWriter, read_case, save_map


class CaseWriter(ResultWriter):
    """Write ``<output_dir>/<case>/``: maps, tables of lesions and candidates, points for 3D Slicer, JSON, HTML page.

    The item of each scan, batch and output merged, holds ``pred`` (instance map) and ``prob`` (probability), both
    (1, H, W, D) meta tensors on the grid of the input file, which ``pred.meta`` names; where there are, ``mask``
    (brain mask on that grid), ``detector`` (probability of the first step), ``candidates`` (instance map of all
    candidates, whose numbers ``pred`` keeps), ``susceptibility`` and ``outlines`` (of the candidates, see
    :class:`csvd.transforms.Susceptibility` and :class:`csvd.transforms.Outlines`), ``case`` (its name, else that of the
    file), ``contrast``, ``notes`` and ``warnings``. Maps get the geometry of the file's header, bit for bit. A folder
    appears when all of it is written, or not at all. The JSON has the SHA-256 of the files that people correct, which
    tells whether they did.

    Args:
        output_dir: folder of the results.
        threshold: probability at which ``pred`` was made, for the record.
        viewer: put the scan into the page, to scroll through: up to 5 MB.
        kwargs: arguments of :class:`ResultWriter`.
    """

    def __init__(
        self, output_dir: str | os.PathLike[str], threshold: float, viewer: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(output_dir, **kwargs)
        self.threshold = threshold
        self.viewer = viewer

    def write(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write the results of one scan and return the content of its JSON.

        Raises as :meth:`ResultWriter.__call__`, and a FileExistsError where a person corrected a result that is there.
        """
        pred, prob = item["pred"].cpu(), item["prob"].cpu()
        scan, case, image, mask = read_case(item, pred)
        check_not_corrected(self.output_dir / case / f"{case}.json")
        started = time.perf_counter()
        alignment = align_to_mni(image, mask, scan.affine)
        self.seconds["regions"] = round(time.perf_counter() - started, ndigits=2)
        everything = lesion_table(
            item.get("candidates", pred),
            prob,
            scan.affine,
            mask,
            item.get("detector"),
            alignment.matrix,
            item.get("susceptibility"),
            item.get("outlines"),
        )
        kept = set(pred.unique().tolist())
        lesions = [lesion for lesion in everything if lesion.id in kept]
        record = {
            **case_record(case, item, scan, image, lesions, alignment),
            "candidates": len(everything),
            "threshold": self.threshold,
            "contrast": item.get("contrast", self.contrast),
            "sequence": item.get("sequence"),
            "settings": self.settings,
        }
        objects = [f"{case}_{end}.dcm" for end in DICOM_ENDS]  # those of an earlier run would tell of other lesions
        with atomic_folder(self.output_dir / case, self.overwrite, objects) as folder:
            save_map(pred, np.int16, scan, folder / f"{case}_cmb.nii.gz", "csvd: suspected microbleeds")
            save_map(prob, np.float32, scan, folder / f"{case}_prob.nii.gz", "csvd: microbleed probability")
            write_lesions(lesions, folder / f"{case}_lesions.tsv")
            write_candidates(everything, kept, folder / f"{case}_candidates.tsv")
            write_markups(lesions, folder / f"{case}_lesions.mrk.json")
            record["sha256"] = {
                name: sha256(folder / name) for name in (f"{case}_cmb.nii.gz", f"{case}_lesions.mrk.json")
            }
            scene = make_scene(image, pred, mask, scan.affine, record["contrast"])
            write_page(folder / f"{case}.html", record, lesions, scene, self.viewer)
            written = write_record(record, folder / f"{case}.json")
            self.also_write(folder, case)
        self.seconds["outputs"] = round(time.perf_counter() - started - self.seconds["regions"], ndigits=2)
        return written
