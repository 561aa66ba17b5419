"""Ignite handler that writes what the classifier says of each scan, and why."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from monai.data import MetaTensor

from ..anatomy.registration import align_to_mni
from ..io.files import atomic_folder, write_text
from ..io.lesion_tables import write_lesions
from ..io.records import write_record
from ..lesions.record import case_record
from ..lesions.table import lesion_table
from ..report.scene import make_scene
from ..report.subtype_page import subtype_page
from ..transforms import lesion_instances
from .result_writer import ResultWriter, read_case, save_map


class SubtypeWriter(ResultWriter):
    """Write ``<output_dir>/<case>/``: microbleeds, attention and Grad-CAM++ as maps, lesion table, JSON, HTML page.

    The item of each scan, batch and output merged, holds ``pred``, probabilities (C,), ``covariates`` (2,), and
    ``lesions``, ``attention`` and ``gradcam``, (1, H, W, D) meta tensors on the grid of the input file; where there
    are, ``mask``, ``case``, ``contrast``, ``notes`` and ``warnings``.

    Args:
        output_dir: folder of the results.
        classes: names of the subtypes.
        kwargs: arguments of :class:`ResultWriter`.
    """

    def __init__(self, output_dir: str, classes: Sequence[str], **kwargs: Any) -> None:
        super().__init__(output_dir, **kwargs)
        self.classes = tuple(classes)

    def write(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Write the results of one scan and return its JSON's content; raises as :meth:`ResultWriter.__call__`."""
        maps = {name: item[name].cpu() for name in ("lesions", "attention", "gradcam")}
        scan, case, image, mask = read_case(item, maps["lesions"])
        if mask is not None:
            maps["gradcam"] = maps["gradcam"] * mask  # its coarse cells reach beyond the brain
        instances = cast(MetaTensor, lesion_instances(maps["lesions"], 0.5))
        started = time.perf_counter()
        alignment = align_to_mni(image, mask, scan.affine)
        self.seconds["regions"] = round(time.perf_counter() - started, ndigits=2)
        lesions = lesion_table(instances, maps["lesions"], scan.affine, mask, to_mni=alignment.matrix)
        record = {**case_record(case, item, scan, image, lesions, alignment), **self._said(item)}
        record["warnings"] += _warnings(record)
        with atomic_folder(self.output_dir / case, self.overwrite) as folder:
            save_map(instances, np.int16, scan, folder / f"{case}_cmb.nii.gz", "csvd: microbleeds it saw")
            save_map(maps["attention"], np.float32, scan, folder / f"{case}_attention.nii.gz", "csvd: attention")
            save_map(maps["gradcam"], np.float32, scan, folder / f"{case}_gradcam.nii.gz", "csvd: Grad-CAM++")
            write_lesions(lesions, folder / f"{case}_lesions.tsv")
            scene = make_scene(image, instances, mask, scan.affine, record["contrast"])
            attention, heat = (scene.turned(maps[name]) for name in ("attention", "gradcam"))
            write_text(subtype_page(record, scene, attention.max(axis=(0, 1)), heat), folder / f"{case}.html")
            written = write_record(record, folder / f"{case}.json")
        self.seconds["outputs"] = round(time.perf_counter() - started - self.seconds["regions"], ndigits=2)
        return written

    def _said(self, item: Mapping[str, Any]) -> dict[str, Any]:
        age, sex = item["covariates"].tolist()
        probabilities = dict(zip(self.classes, (round(p, ndigits=4) for p in item["pred"].tolist()), strict=True))
        known = {"age": None if np.isnan(age) else round(age, ndigits=1), "sex": {0: "F", 1: "M"}.get(sex)}
        return {
            "likeliest": max(probabilities, key=lambda name: probabilities[name]),
            "probabilities": probabilities,
            "covariates": known,
            "imputed": [name for name, value in known.items() if value is None],
            "contrast": item.get("contrast", self.contrast),
            "settings": self.settings,
        }


def _warnings(record: Mapping[str, Any]) -> list[str]:
    warnings = [f"{name} is not known: the mean of the training subjects stood in for it" for name in record["imputed"]]
    if not record["counts"]["total"]:
        warnings.append("no microbleed was seen: the answer rests on the scan, age and sex alone")
    return warnings
