"""The detection bundle: what MONAI, the Zoo and a person at the command line ask of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
SHARED_BLOCKS = ("network_def", "network", "image_transforms", "contrast", "volume", "device")


def config(name):
    return json.loads((BUNDLE / "configs" / f"{name}.json").read_text())


def every_string(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from every_string(item)
    elif isinstance(value, list):
        for item in value:
            yield from every_string(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("block", SHARED_BLOCKS)
def test_training_and_inference_share(block):
    assert config("train")[block] == config("inference")[block]


@pytest.mark.parametrize("name", ["train", "inference", "evaluate", "no_frst"])
def test_configs_hold_no_logic(name):
    for text in every_string(config(name)):
        assert not (text.startswith("$") and ("lambda" in text or " for " in text))
        assert "%" not in text


def test_weights_are_a_bare_state_dict_below_the_zoos_limit():
    path = BUNDLE / "models" / "model.pt"
    assert path.stat().st_size < 25e6
    parser = ConfigParser(config("inference"))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(path, weights_only=True))


def test_metadata_says_what_the_network_takes_and_gives():
    metadata = config("metadata")
    network = ConfigParser(config("inference")).get_parsed_content("network_def").eval()
    formats = metadata["network_data_format"]
    channels = formats["inputs"]["image"]["num_channels"], formats["outputs"]["pred"]["num_channels"]
    assert channels == (2, network(torch.zeros(1, channels[0], 16, 16, 16)).shape[1])
    assert metadata["version"] in metadata["changelog"]


def bundle_run(*arguments, cwd):
    """Run ``python -m monai.bundle run`` as the documentation says."""
    command = [sys.executable, "-m", "monai.bundle", "run", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


QUICK = ("--patch_size", "[24,24,8]", "--train#trainer#max_epochs", "2", "--network_def#features", "2")


@pytest.mark.slow
def test_training_from_the_bundle_folder_and_from_elsewhere(small_cohort, tmp_path):
    arguments = ("--dataset_dir", str(small_cohort), *QUICK)
    folders = ("--ckpt_dir", str(tmp_path / "a"), "--output_dir", str(tmp_path / "a"))
    bundle_run("training", "--config_file", "configs/train.json", *arguments, *folders, cwd=BUNDLE)
    elsewhere = ("--bundle_root", str(BUNDLE), "--config_file", str(BUNDLE / "configs" / "train.json"))
    folders = ("--ckpt_dir", str(tmp_path / "b"), "--output_dir", str(tmp_path / "b"))
    bundle_run("training", *elsewhere, *arguments, *folders, cwd=tmp_path)
    for run in ("a", "b"):
        assert {"model.pt", "resume.pt"} <= {path.name for path in (tmp_path / run).iterdir()}
        assert list((tmp_path / run).glob("events.out.tfevents*"))
