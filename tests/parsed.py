"""Parsers of the bundles' configs that read no scan and load no weights, and the names of what they hold."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

ROOT = Path(__file__).parents[1] / "bundles"
DETECTION, CLASSIFICATION = "cmb_detection", "csvd_classification"
ITEM = {"image": "scan.nii.gz", "label": "label.nii.gz", "subject": "1", "age": 60, "sex": "F", "sequence": "T1"}
ITEMS = [{**ITEM, "csvd": kind, "fold": fold} for fold, kind in enumerate(("aSVD", "CAA", "CADASIL"))]


def parsed(folder, bundle, names, **settings):
    """Return a parser of a bundle's configs, one over the other, with a data list in the folder."""
    lists = dict.fromkeys(("training", "validation", "test"), ITEMS)
    (folder / "datalist.json").write_text(json.dumps(lists))
    parser = ConfigParser()
    parser.read_config([str(ROOT / bundle / "configs" / f"{name}.json") for name in names.split()])
    folders = {"dataset_dir": str(folder), "output_dir": str(folder), "bundle_root": str(ROOT / bundle)}
    parser.update({**folders, **settings})
    for dataset in ("train#dataset", "validate#dataset"):
        if dataset in parser and parser[dataset]["_target_"] == "CacheDataset":
            parser[f"{dataset}#cache_num"] = 0
    for part in ("teacher", "student") if "student" in parser else ():
        parser[f"{part}#sampler"] = {"_target_": "types.SimpleNamespace"}  # the real one looks for candidates
    if "dataset#data" in parser:
        parser["dataset#data"] = ITEMS
    return parser


def shown(value):
    """Return a plain value, or the name of an object's class; of a list or a group of handlers those of its members."""
    if isinstance(value, (str, int, float, Path, torch.device, type(None))):
        return value
    if isinstance(value, Mapping):
        return {name: shown(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, Compose)):
        members = value.transforms if isinstance(value, Compose) else value
        return [shown(item) for member in members for item in _members(member)]
    return type(value).__name__


def _members(member):
    if isinstance(member, Compose):
        return member.flatten().transforms
    return getattr(member, "handlers", [member])
