"""Ignite handler that writes what the classifier says of each scan, and why."""

import time
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor

from ..anatomy.affine import apply_affine
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

SEEN = 1e-6
"""Lowest probability of a voxel of a microbleed."""


class SubtypeWriter(ResultWriter):
    """Write ``<output_dir>/<case>/``: microbleeds, attention and Grad-CAM++ as maps, lesion table, JSON, HTML page.

    The item of each scan, batch and output merged, holds ``pred``, probabilities (C,), or (C + 1,) with that of "not
    applicable", and why, under ``reason`` (:class:`csvd.transforms.NotApplicabled`); ``covariates`` (2,); ``image``, as
    the network saw it, (C, H, W, D); ``lesions``, ``attention`` and ``gradcam``, (1, H, W, D) meta tensors on the grid
    of the input file; ``weights``, ``top`` and ``change``, see :class:`csvd.inferers.SubtypeInferer`; where there are,
    ``mask``, ``case``, ``contrast``, ``notes`` and ``warnings``. Where no class is given, neither is what it rests on.

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
        instances = cast(MetaTensor, lesion_instances(maps["lesions"], SEEN))
        started = time.perf_counter()
        alignment = align_to_mni(image, mask, scan.affine)
        self.seconds["regions"] = round(time.perf_counter() - started, ndigits=2)
        lesions = lesion_table(instances, maps["lesions"], scan.affine, mask, to_mni=alignment.matrix)
        record = {**case_record(case, item, scan, image, lesions, alignment), **self._told(item)}
        record["warnings"] += [
            f"{name} is not known: the mean of the training subjects stood in for it" for name in record["imputed"]
        ]
        with atomic_folder(self.output_dir / case, self.overwrite) as folder:
            save_map(instances, np.int16, scan, folder / f"{case}_cmb.nii.gz", "csvd: microbleeds it saw")
            if record["subtype"]:
                save_map(maps["attention"], np.float32, scan, folder / f"{case}_attention.nii.gz", "csvd: attention")
                save_map(maps["gradcam"], np.float32, scan, folder / f"{case}_gradcam.nii.gz", "csvd: Grad-CAM++")
            write_lesions(lesions, folder / f"{case}_lesions.tsv")
            scene = make_scene(image, instances, mask, scan.affine, record["contrast"])
            heat = scene.turned(maps["gradcam"])
            write_text(subtype_page(record, scene, heat), folder / f"{case}.html")
            written = write_record(record, folder / f"{case}.json")
        self.seconds["outputs"] = round(time.perf_counter() - started - self.seconds["regions"], ndigits=2)
        return written

    def _told(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the record has besides that of any scan."""
        age, sex = item["covariates"].tolist()
        known = {"age": None if np.isnan(age) else round(age, ndigits=1), "sex": {0: "F", 1: "M"}.get(sex)}
        applies = not item.get("reason")
        probabilities = [round(p, ndigits=4) if applies else None for p in item["pred"].tolist()[: len(self.classes)]]
        likeliest = self.classes[int(item["pred"].argmax())] if applies else None
        return {
            "subtype": likeliest,
            "reason": item.get("reason") or None,
            "probabilities": dict(zip(self.classes, probabilities, strict=True)),
            "covariates": known,
            "imputed": [name for name, value in known.items() if value is None and applies],
            "explanation": explanation(item) if applies else None,
            "contrast": item.get("contrast", self.contrast),
            "settings": self.settings,
        }


def explanation(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer rests on, slice by slice, from an item as :class:`SubtypeWriter` takes it.

    Returns:
        ``attention``, of each slice of the classifier, bottom first, and ``middles_mm``, their middles, RAS+ mm.
        ``slices``, those of most attention: ``slice``, its place in these lists, from 0, and ``change``, that of the
        probability of the subtype when it is left out. ``change_without_all`` of them, and ``change_without_others``,
        as many slices of least attention. A change is None where no slice is left.
    """
    weights, top = item["weights"].tolist(), item["top"].tolist()
    changes = [None if isnan(change) else round(change, ndigits=4) for change in item["change"].tolist()]
    image = item["image"]
    voxels = torch.zeros(len(weights), 3, dtype=torch.float64)
    voxels[:, :2] = (torch.tensor(image.shape[1:3]) - 1) / 2
    voxels[:, 2] = (torch.arange(len(weights)) + 0.5) * image.shape[3] / len(weights) - 0.5
    middles = apply_affine(image.affine.double().cpu(), voxels).tolist()
    return {
        "attention": [round(weight, ndigits=4) for weight in weights],
        "middles_mm": [[round(place, ndigits=1) for place in middle] for middle in middles],
        "slices": [{"slice": index, "change": change} for index, change in zip(top, changes[:-2], strict=True)],
        "change_without_all": changes[-2],
        "change_without_others": changes[-1],
    }
