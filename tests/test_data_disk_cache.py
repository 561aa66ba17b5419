"""What is kept on disk is told apart by what made it: files, settings, weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    Lambdad,
    LoadImaged,
    RandFlipd,
    RandShiftIntensityd,
    ScaleIntensityd,
)

from csvd.io import DiskCacheDataset, NiftiReader, digest, item_digest
from csvd.networks import ShallowUNet

CONFIGS = sorted((Path(__file__).parents[1] / "bundles").glob("*/configs/*.json"))


def write(path, value, shape=(4, 4, 4)):
    """Write a constant volume."""
    nib.save(nib.Nifti1Image(np.full(shape, value, np.float32), np.diag([2, 2, 3, 1])), path)
    return str(path)


def edit_in_place(path, value):
    """Write another constant, of the same size and with the time of the last change put back."""
    before = os.stat(path)
    write(path, value)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.fixture
def item(tmp_path):
    return {key: write(tmp_path / f"{key}.nii", 1) for key in ("image", "label", "mask", "phase")}


def dataset(items, folder, keys=("image", "label", "mask", "phase"), factor=1.0, **how):
    transforms = [
        LoadImaged(keys, reader=NiftiReader),
        EnsureChannelFirstd(keys),
        ScaleIntensityd(keys, minv=None, maxv=None, factor=factor - 1),
    ]
    return DiskCacheDataset(items, Compose([*transforms, RandFlipd(keys, prob=0)]), str(folder / "kept"), **how)


@pytest.mark.parametrize("key", ["image", "label", "mask", "phase"])
@pytest.mark.parametrize("again", ["the same dataset", "another"])
def test_a_file_edited_in_place_is_seen(item, tmp_path, key, again):
    scans = dataset([item], tmp_path)
    assert scans[0][key].unique() == 1
    edit_in_place(item[key], 7)
    scans = scans if again == "the same dataset" else dataset([item], tmp_path)
    assert scans[0][key].unique() == 7


def test_what_has_not_changed_is_not_made_again(item, tmp_path, monkeypatch):
    made = dataset([item], tmp_path)[0]
    monkeypatch.setattr(DiskCacheDataset, "_pre_transform", None)
    kept = dataset([item], tmp_path)[0]
    assert all(torch.equal(made[key], kept[key]) for key in item)


def test_a_changed_setting_is_seen(item, tmp_path):
    values = [dataset([item], tmp_path, factor=factor)[0]["image"].unique().item() for factor in (1, 3, 1)]
    assert values == [1, 3, 1]


def test_weights_that_come_late_are_seen(item, tmp_path):
    def seen(weight):
        network = torch.nn.Conv3d(1, 1, 1, bias=False).requires_grad_(False)
        transforms = [LoadImaged("image"), EnsureChannelFirstd("image"), Lambdad("image", network)]
        scans = DiskCacheDataset([{"image": item["image"]}], transforms, str(tmp_path / "kept"))
        torch.nn.init.constant_(network.weight, weight)
        return scans[0]["image"].unique().item()

    assert [seen(weight) for weight in (2, 5, 2)] == [2, 5, 2]


def test_affine_and_name_are_kept_and_loaded_without_running_code(item, tmp_path, monkeypatch):
    made = dataset([item], tmp_path)[0]["label"]
    loaded = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **how: loaded.append(how) or load(*args, **how))
    kept = dataset([item], tmp_path)[0]["label"]
    assert loaded == [{"weights_only": True}]
    assert isinstance(kept, MetaTensor)
    assert torch.equal(kept.affine, torch.diag(torch.tensor([2.0, 2, 3, 1]).double()))
    assert kept.meta["filename_or_obj"] == made.meta["filename_or_obj"] == item["label"]


def test_without_meta_data_all_are_plain_tensors(item, tmp_path):
    types = [type(dataset([item], tmp_path, track_meta=False)._cachecheck(item)["image"]) for _ in range(2)]
    assert types == [torch.Tensor, torch.Tensor]


def test_first_item_draws_what_the_epoch_was_seeded_with(item, tmp_path):
    """Also where it is the first of a process: a training that goes on draws what one left alone does."""
    steps = [LoadImaged("image"), EnsureChannelFirstd("image"), RandShiftIntensityd("image", offsets=1, prob=1)]
    used, new = (DiskCacheDataset([item], Compose([Compose(steps[:2]), *steps[2:]]), str(tmp_path)) for _ in range(2))
    used[0]
    drawn = []
    for dataset in (used, new):
        dataset.transform.set_random_state(seed=7)
        drawn.append(dataset[0]["image"])
    assert torch.equal(*drawn)
    assert len([*tmp_path.glob("*.pt")]) == 1  # nested or not, the transforms are the same


def test_sidecars_and_the_other_half_of_a_pair_count(tmp_path):
    for name in ("a.hdr", "a.img", "b.nii.gz", "b.json", "c.json"):
        (tmp_path / name).write_text("before")
    item = {"image": str(tmp_path / "a.hdr"), "also": [{"phase": str(tmp_path / "b.nii.gz")}], "age": 70}

    def differs(name):
        before = item_digest(item)
        (tmp_path / name).write_text("after")
        return item_digest(item) != before

    assert [differs(name) for name in ("a.hdr", "a.img", "b.nii.gz", "b.json", "c.json")] == [True] * 4 + [False]
    assert item_digest({**item, "age": 71}) != item_digest(item)


def outer(value):
    return lambda image: image * value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(2), torch.ones(2).half()),
        (torch.ones(2, 3), torch.ones(3, 2)),
        (np.float32([1, 2]), np.float32([2, 1])),
        (["ab"], ["a", "b"]),
        ({"a": 1}, {"a": 1.0}),
        (lambda x: x + 1, lambda x: x + 2),
        (outer(1), outer(2)),
        ({1, 2}, {1, 3}),
        (torch.nn.LeakyReLU(0.1), torch.nn.LeakyReLU(0.2)),
        (ScaleIntensityd("image", 0, 1), ScaleIntensityd("image", 0, 2)),
    ],
)
def test_what_differs_has_another_digest(one, other):
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)


def test_order_of_a_dictionary_mode_of_a_network_and_random_state_do_not_count():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    network = ShallowUNet(in_channels=1, features=2)
    assert digest(network.train()) == digest(network.eval())
    flip = RandFlipd("image")
    assert digest(flip.set_random_state(1)) == digest(flip.set_random_state(2))


def test_what_holds_itself_has_a_digest():
    loop = []
    loop.append(loop)
    assert digest(loop) == digest(loop) != digest([[]])


def test_what_has_no_state_is_refused(tmp_path):
    with (tmp_path / "open").open("w") as file, pytest.raises(TypeError, match="cannot pickle"):
        digest(file)


def test_every_process_gives_the_same_digest():
    code = (
        "from csvd.io import NiftiReader, digest; from monai.transforms import LoadImaged;"
        "print(digest(LoadImaged(['image', 'label'], reader=NiftiReader), {'a', 'b', 'c'}, {'x': 1, 'y': 2}))"
    )
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # sets have another order there
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    here = digest(LoadImaged(["image", "label"], reader=NiftiReader), {"a", "b", "c"}, {"x": 1, "y": 2})
    assert said.strip() == here


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_no_config_keeps_scans_by_their_names_alone(path):
    def targets(node):
        if isinstance(node, dict):
            yield node.get("_target_")
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from targets(value)

    assert "PersistentDataset" not in targets(json.loads(path.read_text()))
