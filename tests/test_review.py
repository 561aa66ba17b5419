"""The way round: detect, correct the points as 3D Slicer saves them, make a data list, train on from it."""

import csv
import json
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import LoadImage
from warm import python_m

from csvd.io import NiftiReader, load_datalist
from csvd.transforms import LesionLabeld

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
LPS = np.array([-1, -1, 1])
FOUND_MM = 5.0
COARSE = Path(__file__).with_name("coarse.py")


def run(*arguments, cwd):
    done = subprocess.run(python_m(*arguments), cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def correct(path, truth):
    """Delete points that are no microbleed, add those that were missed, save as 3D Slicer does; how many of each."""
    content = json.loads(path.read_text())
    (markup,) = content["markups"]
    points = [(point, np.array(point["position"]) * LPS) for point in markup["controlPoints"]]
    kept = [(point, at) for point, at in points if np.linalg.norm(truth - at, axis=1).min() < FOUND_MM]
    missed = [at for at in truth if all(np.linalg.norm(at - other) >= FOUND_MM for _, other in kept)]
    new = [{"label": f"new-{n}", "position": (at * LPS).tolist()} for n, at in enumerate(missed, start=1)]
    markup["controlPoints"] = [point for point, _ in kept] + new
    path.write_text(json.dumps({"@schema": content["@schema"], "markups": [markup]}, indent=4))
    return len(points) - len(kept), len(missed)


def read_truth(cohort, subject):
    with (cohort / subject / f"{subject}_lesions.tsv").open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows])


@pytest.mark.whole
def test_corrected_points_train_new_weights(tmp_path):
    cohort, results, tuned = tmp_path / "cohort", tmp_path / "results", tmp_path / "tuned"
    few = ("--subjects", 2, "--phenotype", "CAA", "--seed", 5, "--split", 0, 0, 1, "--jobs", 1)
    run(COARSE, "csvd.cli", "phantom", "--preset", "oxvasc", *few, "--out", cohort, cwd=tmp_path)
    low = ("--threshold", 0.2, "--any-sequence")  # with the shipped weights, some points are false and one is missing
    run("csvd.cli", "detect", cohort / "datalist.json", "--out", results, *low, cwd=tmp_path)
    truth = {name: read_truth(cohort, name) for name in ("sub-001", "sub-002")}
    edits = [correct(results / name / f"{name}_lesions.mrk.json", truth[name]) for name in truth]
    assert np.sum(edits) > 0

    made = (results, "--layout", "slicer", "--scans", cohort / "datalist.json", "--split", 0.5, 0.5, 0)
    said = run("csvd.cli", "datalist", *made, "--out", tmp_path / "datalist.json", cwd=tmp_path)
    assert "2 scans of 2 subjects, 2 annotated" in said
    (item,) = load_datalist(tmp_path / "datalist.json", "training")
    image = LoadImage(NiftiReader(), ensure_channel_first=True)(item["image"])
    label = LesionLabeld("label")({**item, "image": image})["label"]
    drawn = np.asarray(nib.load(cohort / item["subject"] / f"{item['subject']}_label.nii.gz").dataobj) > 0
    assert len(item["points"]) == len(truth[item["subject"]])
    assert (label[0].numpy() > 0)[drawn].any()

    names = "['configs/train.json','configs/fine_tune.json']"
    folders = ("--dataset_dir", tmp_path, "--output_dir", tuned)
    size = ("--train#trainer#max_epochs", 1, "--train#sampler#batches", 3, "--train#dataset#batch_size", 16)
    run("monai.bundle", "run", "fine_tuning", "--config_file", names, *folders, *size, cwd=BUNDLE)
    before, after = (torch.load(folder / "model.pt", weights_only=True) for folder in (BUNDLE / "models", tuned))
    assert not all(torch.equal(after[name], value) for name, value in before.items())
    config = json.loads((BUNDLE / "configs" / "inference.json").read_text())
    ConfigParser(config).get_parsed_content("network_def").load_state_dict(after)
