"""What ``csvd detect`` finds on labelled cohorts: the work behind ``csvd evaluate detection``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from ..checks import InputError, describe
from ..io import NiftiReader, load_datalist
from ..io.nifti import load_nifti
from ..io.tables import read_table
from ..metrics import MATCHES, FROCMetric, ScanScore, count_lesions, count_points, score_masks, score_points
from ..transforms import LesionLabeld
from ..transforms.lesions.lesion_label import LPS, to_voxels
from ..workflows.detection import detect

THRESHOLDS = FROCMetric().thresholds
"""Of the points of FROC curves."""


@dataclass(frozen=True)
class Evaluated:
    """A scan and how well its lesions are found.

    Attributes:
        row: what :func:`csvd.workflows.detection.detect` says of it.
        score: what is reported against the truth; nothing is, where the scan failed.
        curves: by matching rule, (T, 4) counts at :data:`THRESHOLDS`; of points by "distance" alone.
    """

    row: Mapping[str, Any]
    score: ScanScore
    curves: Mapping[str, torch.Tensor]

    @property
    def failed(self) -> bool:
        """Whether it has no result."""
        return self.row["status"] == "failed"


def evaluate_cohort(
    bundle: Path,
    cohort: Path,
    out: Path,
    *,
    overlays: Sequence[str | Path] = (),
    ckpt_dir: Path | None = None,
    threshold: float | None = None,
    jobs: int = 1,
) -> list[Evaluated]:
    """Detect in the scans of the section "test" of a data list as ``csvd detect`` does, and compare with the labels.

    Each scan is worked on in its own contrast, at the threshold of that; the sequence gate refuses none.

    Args:
        bundle: folder of the detection bundle.
        cohort: folder with ``datalist.json``.
        out: folder of the results, those of an earlier run are replaced.
        overlays: further configs over ``inference.json``, see :func:`csvd.bundles.find_overlay`.
        ckpt_dir: folder with other weights (``model.pt``) and thresholds (``operating_points.json``).
        threshold: of all scans, in place of those.
        jobs: processes.

    Raises:
        InputError: an overlay does not exist, or is one over the configs of training, a scan has no label, or
            one that does not fit, or no scan can be worked on.
    """
    datalist = cohort / "datalist.json"
    items = load_datalist(datalist, "test")
    for item in items:
        read_truth(item, datalist)  # a wrong label is said before any scan is worked on
    settings: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
    if ckpt_dir is not None:
        for name in ("model.pt", "operating_points.json"):
            if not (ckpt_dir / name).is_file():
                raise InputError(
                    f"folder of weights '{ckpt_dir}' must have model.pt and operating_points.json, {name} is missing. "
                    "Give the folder that a training or `run calibrate` wrote."
                )
        # Those weights are of one network, so no contrast goes to another.
        settings |= {"handlers#0#load_path": str(ckpt_dir / "model.pt"), "contrast_overlays": {}}
        settings |= {"operating_points": str(ckpt_dir / "operating_points.json")}
    how: dict[str, Any] = {"any_sequence": True, "overwrite": True, "overlays": overlays, "jobs": jobs}
    rows = detect(datalist, out, bundle, settings=settings, **how)
    if all(row["status"] == "failed" for row in rows):
        raise InputError(rows[0]["reason"])
    return [
        _evaluate(row, *read_truth(item, datalist), out / row["case"]) for item, row in zip(items, rows, strict=True)
    ]


def read_truth(item: Mapping[str, Any], datalist: Path) -> tuple[MetaTensor | None, torch.Tensor]:
    """Return the mask of the lesions of a scan, (1, H, W, D), on its voxels, or none and their centres, (M, 3) in mm.

    Args:
        item: with ``points``, with ``box``, whose centres are taken, or with ``label``.
        datalist: that names it.

    Raises:
        InputError: it has none of these, or they do not fit the scan.
    """
    scan = load_nifti(item["image"], "scan")
    meta = {"filename_or_obj": item["image"]}
    image = MetaTensor(torch.zeros(1).expand(1, *scan.shape[:3]), affine=torch.from_numpy(scan.affine), meta=meta)
    if "box" in item or "points" in item:
        rows = torch.as_tensor(item["box"] if "box" in item else item["points"], dtype=torch.float64)
        points = rows.reshape(-1, 6)[:, :3] * LPS if "box" in item else rows.reshape(-1, 3)
        _check_inside(points, image)
        return None, points
    if "label" not in item:
        raise InputError(
            f"data list '{datalist}': image '{item['image']}' must have a `label` or `points` to be evaluated, it has "
            "neither. Add one; `points` may be empty."
        )
    return LesionLabeld("label", reader=NiftiReader)({"image": image, "label": item["label"]})["label"], torch.empty(0)


def _check_inside(points_mm: torch.Tensor, image: MetaTensor) -> None:
    voxels = to_voxels(points_mm, image.affine)
    outside = ((voxels < -0.5) | (voxels > torch.tensor(image.shape[1:]) - 0.5)).any(dim=1)
    if outside.any():
        point = points_mm[outside][0]
        raise InputError(
            f"a point of {describe(image)} lies outside it, at {point.tolist()} mm (RAS): correct it, or check that it "
            "belongs to this scan."
        )


def _evaluate(row: Mapping[str, Any], label: MetaTensor | None, points: torch.Tensor, folder: Path) -> Evaluated:
    """Compare the results in a folder, which is not read where the scan failed, with the truth."""
    failed = row["status"] == "failed"
    # A large lesion is no microbleed by definition, and in no count.
    lesions, candidates = (
        [] if failed else [one for one in read_table(folder / f"{folder.name}_{name}.tsv") if one.get("large") != "1"]
        for name in ("lesions", "candidates")
    )
    volume = sum(float(lesion["volume_mm3"]) for lesion in lesions)
    if label is None:
        probability = torch.tensor([float(candidate["probability"]) for candidate in candidates])
        curve = count_points(_centres(candidates), probability, points, THRESHOLDS)
        return Evaluated(row, score_points(_centres(lesions), points, volume), {"distance": curve})
    marked, probability = (torch.zeros(label.shape) if failed else _read_map(folder, name) for name in ("cmb", "prob"))
    counted = torch.isin(marked, torch.tensor([float(lesion["id"]) for lesion in lesions]))
    curves = {match: count_lesions(probability, label, THRESHOLDS, match) for match in MATCHES}
    return Evaluated(row, score_masks(marked * counted, label, label.affine, volume), curves)


def _read_map(folder: Path, name: str) -> torch.Tensor:
    volume = load_nifti(folder / f"{folder.name}_{name}.nii.gz", "result")
    return torch.from_numpy(np.asarray(volume.dataobj, dtype=np.float32))[None]


def _centres(rows: Sequence[Mapping[str, str]]) -> torch.Tensor:
    centres = [[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows]
    return torch.tensor(centres, dtype=torch.float64).reshape(-1, 3)
