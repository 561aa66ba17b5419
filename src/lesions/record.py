"""What is known about the making of a result: the content of the JSON of a case."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import torch
from monai.data import MetaTensor

from .. import __version__
from ..anatomy.registration import Alignment
from ..names import with_source, without_folders
from .burden import burden
from .outlines import LARGEST_MM
from .susceptibility import Susceptibility
from .table import LESION_COLUMNS, OF_VOXELS, Lesion, count_lesions, count_mars

BRAIN_ML = (700.0, 2200.0)
"""Volumes of a brain mask that raise no warning: adults, brainstem and cerebellum included, with room for bad cuts."""


def case_record(
    case: str,
    item: Mapping[str, Any],
    scan: nib.Nifti1Image,
    image: torch.Tensor,
    lesions: Sequence[Lesion],
    alignment: Alignment,
) -> dict[str, Any]:
    """Return what can be told from the scan and its results; who runs the detector adds settings and times.

    Args:
        case: name of the case.
        item: as :class:`CaseWriter` takes it.
        scan: the input file.
        image: (1, H, W, D) volume of the file that was worked on.
        lesions: the table.
        alignment: of the scan with MNI152, from which its regions come.
    """
    metas = [value.meta for value in item.values() if isinstance(value, MetaTensor)]
    quality = _quality(image, item.get("mask"), scan)
    of_steps = [warning for meta in metas for warning in meta.get("warnings") or []]  # batching makes None of []
    counts = count_lesions(lesions)
    of_result = [*_warnings(quality["mask_volume_ml"], counts["large"]), *filter(None, [alignment.warning])]

    def of_user(text: str) -> str:
        text = with_source(text, item["temporary"], item["source"]) if "temporary" in item else text
        return without_folders(text, *item["paths"].split("\n")) if "paths" in item else text

    return {
        "case": case,
        "subject": item.get("subject"),
        "research_use_only": True,
        "counts": counts,
        "mars": count_mars(lesions),
        "burden": burden(counts),
        "regions": {"method": alignment.method, "overlap": alignment.overlap},
        "warnings": list(dict.fromkeys(of_user(text) for text in (*_lines(item, "warnings"), *of_steps, *of_result))),
        "notes": [of_user(text) for text in _lines(item, "notes")],
        "input": _input(scan, metas),
        "quality": quality,
        "phase": _phase(item.get("susceptibility")),
        "source_sha256": item.get("source_sha256"),
        "columns": LESION_COLUMNS if "outlines" in item else LESION_COLUMNS | OF_VOXELS,
        "versions": {
            "csvd": __version__,
            **{name: version(name) for name in ("monai", "torch", "numpy", "nibabel")},
            "python": platform.python_version(),
        },
    }


def _lines(item: Mapping[str, Any], key: str) -> list[str]:
    """Return the sentences under a key, which :meth:`csvd.io.Case.item` has joined."""
    return [line for line in item.get(key, "").split("\n") if line]


def _input(scan: nib.Nifti1Image, metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = ("volume", "brain_mask") if len(scan.shape) > 3 else ("brain_mask",)
    known = {name: meta[name] for name in shown for meta in metas if name in meta}
    return {
        "file": Path(str(scan.get_filename())).name,
        "shape": list(scan.shape),
        "voxel_mm": [round(float(size), ndigits=4) for size in nib.affines.voxel_sizes(scan.affine)],
        "axes": "".join(nib.aff2axcodes(scan.affine)),
        **known,
    }


def _phase(found: Susceptibility | None) -> dict[str, Any] | None:
    """Return which file told the signs of susceptibility, and how phase was read."""
    if found is None:
        return None
    words = {1: "grows with the field", -1: "falls with the field", 0: "unclear, and so is every sign"}
    if found.kind == "qsm":
        return {"file": found.file, "kind": found.kind}
    known = {"convention": words[found.convention], "evidence_sd": round(found.evidence, ndigits=1)}
    return {"file": found.file, "kind": found.kind, **(known if found.sign else {})}


def _quality(image: torch.Tensor, mask: torch.Tensor | None, scan: nib.Nifti1Image) -> dict[str, float | None]:
    inside = None if mask is None else image[mask.cpu() > 0.5]
    if inside is None or not len(inside):
        return {"mask_volume_ml": 0.0 if inside is not None else None, "median_intensity": None}
    voxel_ml = abs(float(torch.linalg.det(torch.as_tensor(scan.affine)[:3, :3]))) / 1000
    return {"mask_volume_ml": round(len(inside) * voxel_ml, ndigits=1), "median_intensity": float(inside.median())}


def _warnings(mask_volume_ml: float | None, large: int) -> list[str]:
    found = []
    if mask_volume_ml is not None and not BRAIN_ML[0] <= mask_volume_ml <= BRAIN_ML[1]:
        found.append(
            f"the brain mask has {mask_volume_ml:.0f} ml, a whole brain {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f} ml: "
            "look at its outline, and give a mask if it is wrong"
        )
    if large:
        found.append(
            f"{large} lesion{'s are' if large > 1 else ' is'} larger than {LARGEST_MM:g} mm, not a microbleed by "
            "definition: macrobleed or cavernoma? In maps and tables, in no count, region or pattern"
        )
    return found
