"""A detection bundle that takes a tenth of a second a scan, and fails where the name of a scan says.

A scan with ``fails<stage>`` in its name makes that stage raise: ``check`` (its file is no NIfTI), ``gate``,
``preprocessing``, ``network``, ``postprocessing`` or ``writer``. The gate takes scans for FLAIR that are brighter than
twice the tissue. The detector takes for a microbleed what is darker than half of it; no weights matter.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from geometry import planted_scan
from monai.inferers import Inferer
from monai.transforms import Transform

from csvd.handlers import CaseWriter, SubtypeWriter
from csvd.sequences import SEQUENCES

STAGES = ("check", "gate", "preprocessing", "network", "postprocessing", "writer")
SHAPE, VOXEL_MM = (32, 36, 28), (3.0, 3.0, 3.0)
TISSUE = 600  # of planted_scan
RAS = {"axcodes": "RAS", "labels": None}
BUNDLES = Path(__file__).parents[1] / "bundles"


def fail_on(stage, text):
    """Raise what nobody foresees where the text, with the name of a scan in it, says so."""
    if f"fails{stage}" in str(text):
        raise ZeroDivisionError(f"the {stage} broke")


class Stage(Transform):
    """Fail for the scans of a stage."""

    def __init__(self, stage, key="image"):
        self.stage, self.key = stage, key

    def __call__(self, data):
        fail_on(self.stage, data[self.key].meta["filename_or_obj"])
        return data


class Mask(Transform):
    """Add ``mask``: what is not 0."""

    def __call__(self, data):
        return {**data, "mask": (data["image"] > 0).to(data["image"].dtype)}


class Network(torch.nn.Module):
    """No parameter that matters."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))


class Dark(Inferer):
    """Return the probabilities (B, 2, H, W, D) of both steps: dark voxels have 0.9."""

    def __call__(self, inputs, network, *args, **kwargs):
        fail_on("network", inputs.meta["filename_or_obj"])
        dark = ((inputs > 0) & (inputs < TISSUE / 2)).to(inputs.dtype) * 0.9
        return torch.cat([dark, dark], dim=1)


class GateInferer(Inferer):
    """Return the probabilities (B, 10, N) of the sequences: scans brighter than any of ours are FLAIR, others SWI."""

    def __call__(self, inputs, network, *args, **kwargs):
        index = SEQUENCES.index("FLAIR" if inputs.max() > 2 * TISSUE else "SWI")
        probability = torch.nn.functional.one_hot(torch.tensor([index]), len(SEQUENCES))
        return probability.float()[..., None].expand(-1, -1, inputs.shape[-1])


class FailingWriter(CaseWriter):
    """Fail in the middle of writing, for the scans of that stage."""

    def write(self, item):
        also_write = self.also_write

        def fail_or_write(folder, case):
            fail_on("writer", case)
            also_write(folder, case)

        self.also_write = fail_or_write
        try:
            return super().write(item)
        finally:
            self.also_write = also_write


class Subtypes(Inferer):
    """Return what the classifier's inferer does: no attention, and logits that differ by scan."""

    def __call__(self, inputs, network, *args, **kwargs):
        fail_on("network", inputs.meta["filename_or_obj"])
        maps = {name: torch.zeros_like(inputs) for name in ("attention", "gradcam")}
        logits = torch.tensor([[1.0, 0.0, inputs.double().sum().item() % 7 / 7]])
        maps["lesions"] = ((inputs > 0) & (inputs < TISSUE / 2)).to(inputs.dtype)
        slices = {"weights": torch.full((1, 4), 0.25), "top": torch.tensor([[2, 0]]), "change": torch.zeros(1, 4)}
        return {"logits": logits, **maps, **slices}


class FailingSubtypeWriter(SubtypeWriter):
    """Fail before anything is written, for the scans of that stage."""

    def write(self, item):
        fail_on("writer", item["case"])
        return super().write(item)


def write_bundle(folder, of=BUNDLES / "cmb_detection"):
    """Write a bundle whose configs are those of the detector, but for what takes long, and return its folder."""
    image = [{"_target_": "LoadImaged"}, {"_target_": "EnsureChannelFirstd"}, {"_target_": "Orientationd", **RAS}]
    image = [{"keys": "image", **step} for step in image]
    small = {"network_def": {"_target_": "small_bundle.Network"}}
    config = _read(of, "inference") | small | {"threshold": 0.5, "inferer": {"_target_": "small_bundle.Dark"}}
    copy = {"_target_": "CopyItemsd", "keys": "image", "times": 1, "names": "scan"}
    config["image_transforms"] = [*image, copy, {"_target_": "small_bundle.Mask"}, _stage("preprocessing")]
    del config["result_transforms"]["calibrate"]  # there are no operating points
    config["result_transforms"]["stage"] = _stage("postprocessing", "prob")
    config["handlers"][1] |= {"_target_": "small_bundle.FailingWriter", "viewer": False}
    _write(folder, "inference", config)
    gate = _read(of, "sequence_inference") | small | {"inferer": {"_target_": "small_bundle.GateInferer"}}
    gate["series_transforms"] = [*image, _stage("gate")]
    _write(folder, "sequence_inference", gate)
    return folder


def write_classifier(folder):
    """Write a bundle whose config is that of the classifier, but for what takes long, and return its folder."""
    config = _read(BUNDLES / "csvd_classification", "inference") | {"network_def": {"_target_": "small_bundle.Network"}}
    config |= {"threshold": 0.5, "inferer": {"_target_": "small_bundle.Subtypes"}}
    load = [config["transforms"][name] for name in ("load", "channel_first")]
    config["image_transforms"] = [*load, {"_target_": "small_bundle.Mask"}, _stage("preprocessing")]
    config["append_lesions"] = {"_target_": "Identity"}
    config["postprocessing"]["transforms"][1] = _stage("postprocessing", "image")
    config["handlers"][1] |= {"_target_": "small_bundle.FailingSubtypeWriter"}
    _write(folder, "inference", config)
    return folder


def write_scan(path, seed, brightness=1.0):
    """Write a scan with a microbleed of its own place; one whose name says that the check fails is no NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "failscheck" in path.name:
        path.write_bytes(b"no scan at all" * 100)
        return
    where = (6.0 + 6 * seed, 8.0, 30.0 - 3 * seed)
    image = planted_scan(shape=SHAPE, voxel_mm=VOXEL_MM, lesion_world_mm=where, radius_mm=5, seed=seed).image
    voxels = (np.asanyarray(image.dataobj) * brightness).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, image.affine, image.header), path)


def _stage(stage, key="image"):
    return {"_target_": "small_bundle.Stage", "stage": stage, "key": key}


def _read(bundle, name):
    return json.loads((bundle / "configs" / f"{name}.json").read_text())


def _write(folder, name, config):
    """Write a config, and the weights that it loads."""
    for place in ("configs", "models"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / f"{name}.json").write_text(json.dumps(config))
    weights = {"inference": "model", "sequence_inference": "sequence"}[name]
    torch.save(Network().state_dict(), folder / "models" / f"{weights}.pt")
