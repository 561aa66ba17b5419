"""The classification bundle: trained, evaluated and asked for an answer on small planted scans."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from small import CLASSIFIER

from csvd.checks import cause_of
from csvd.io import load_datalist

ROOT = Path(__file__).parents[1] / "bundles"
BUNDLE = ROOT / "csvd_classification"
PAPER = ROOT / "cmb_detection" / "models" / "paper"
CLASSES = ("aSVD", "CAA", "CADASIL")
SHARED_BLOCKS = (
    "network_def",
    "network",
    "subject_transforms",
    "image_transforms",
    "detector_def",
    "detector",
    "operating_point",
    "bag",
    "contrast",
    "volume",
    "device",
    "patch_size",
    "candidate_threshold",
    "threshold",
    "classes",
)


def config(name, bundle=BUNDLE):
    return json.loads((bundle / "configs" / f"{name}.json").read_text())


def parser_of(*names, **settings):
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in names])
    for name, value in {"bundle_root": str(BUNDLE), **settings}.items():
        parser[name] = value
    return parser


@pytest.mark.parametrize("block", SHARED_BLOCKS)
def test_training_and_inference_share(block):
    assert config("train")[block] == config("inference")[block]


def test_training_prepares_scans_as_inference_and_looks_for_microbleeds_beside_the_true_ones_too():
    ours = config("train")["transforms"]
    assert ours["found"].pop("always") == "$@found_lesions > 0"
    assert ours == config("inference")["transforms"]


def test_settings_of_a_result_say_which_thresholds_are_of_qsm():
    settings = config("inference")["settings"]
    assert {name: settings[name] for name in ("operating_point", "qsm_threshold", "qsm_candidate_threshold")} == {
        "operating_point": "@operating_point",
        "qsm_threshold": "@threshold",
        "qsm_candidate_threshold": "@candidate_threshold",
    }
    assert "threshold" not in settings
    assert config("mask_rcnn")["settings"]["threshold"] == "@threshold"  # of all contrasts


def test_scans_are_prepared_as_for_the_papers_cascade():
    detection = config("train_paper", ROOT / "cmb_detection")
    ours = config("train")
    assert ours["network_def"]["cascade"] == detection["network_def"]
    for name in ("candidate_threshold", "patch_size"):
        assert ours[name] == detection[name]
    transforms = ours["transforms"]
    assert transforms.pop("found")["_target_"] == "csvd.inferers.DetectLesionsd"
    for step in transforms.values():  # the map of what it found goes with the others
        if "found" in step["keys"]:
            index = step["keys"].index("found")
            step["keys"].pop(index)
            if "mode" in step:
                step["mode"].pop(index)
    assert transforms == detection["transforms"]


@pytest.mark.parametrize("name", ["model.pt", "operating_points.json"])
def test_detector_is_the_default_one(name):
    ours, theirs = BUNDLE / "models" / "detector" / name, ROOT / "cmb_detection" / "models" / name
    assert ours.read_bytes() == theirs.read_bytes()
    assert config("inference")["detector_def"] == config("inference", ROOT / "cmb_detection")["network_def"]


def test_threshold_is_the_best_of_the_papers_cascade():
    points = json.loads((PAPER / "operating_points.json").read_text())
    assert config("train")["threshold"] == points["operating_points"]["best_f1"]["threshold"]


def test_shipped_weights_hold_those_of_the_papers_cascade():
    ours, theirs = (torch.load(folder / "model.pt", weights_only=True) for folder in (BUNDLE / "models", PAPER))
    assert all(torch.equal(ours[f"cascade.{name}"], value) for name, value in theirs.items())


def small(folder, **settings):
    """Settings of a quick training in a folder."""
    return {
        "dataset_dir": str(folder),
        "ckpt_dir": str(folder / "models"),
        "output_dir": str(folder / "eval"),
        **CLASSIFIER,
        "train#trainer#max_epochs": 2,
        **settings,
    }


def inferred(folder, configs, settings):
    """Run inference with a training's settings and return what it says of the test subject."""
    size = {key: value for key, value in settings.items() if key.startswith(("network_def", "bag"))}
    folders = {"dataset_dir": str(folder / "datalist.json"), "output_dir": str(folder / "out")}
    weights = {"handlers#0#load_path": str(folder / "models" / "model.pt")}
    parser_of(*configs, **size, **folders, **weights).get_parsed_content("inferring")
    return json.loads((folder / "out" / "sub-3" / "sub-3.json").read_text())


def predictions(folder):
    with (folder / "eval" / "predictions.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.slow
def test_it_trains_evaluates_and_explains(people):
    parser = parser_of("train", **small(people))
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("training")
    weights = torch.load(people / "models" / "model.pt", weights_only=True)
    detector = torch.load(PAPER / "model.pt", weights_only=True)
    assert all(torch.equal(weights[f"cascade.{name}"], value) for name, value in detector.items())
    assert weights["classifier.age_mean"] == 60.5

    parser_of("train", "evaluate", **small(people)).get_parsed_content("evaluating")
    [row] = predictions(people)
    assert (row["subject"], row["csvd"], row["imputed"]) == ("sub-3", "aSVD", "age sex")
    assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1, abs=1e-3)

    parser_of("train", "evaluate", **small(people, drop_lesions=1)).get_parsed_content("evaluating")
    [without] = predictions(people)
    assert any(without[name] != row[name] for name in CLASSES)

    record = inferred(people, ("inference",), small(people))
    for name in CLASSES:
        assert record["probabilities"][name] == pytest.approx(float(row[name]), abs=1e-3)
    assert record["imputed"] == ["age", "sex"]
    scan = nib.load(load_datalist(people / "datalist.json", "test")[0]["image"])
    for kind in ("cmb", "attention", "gradcam"):
        image = nib.load(people / "out" / "sub-3" / f"sub-3_{kind}.nii.gz")
        assert image.shape == scan.shape
        np.testing.assert_array_equal(image.affine, scan.affine)
    assert record["counts"]["total"] == 1
    found = record["explanation"]
    assert len(found["attention"]) == len(found["middles_mm"]) == 4
    assert sum(found["attention"]) == pytest.approx(1, abs=1e-3)
    shown = [found["attention"][one["slice"]] for one in found["slices"]]
    assert shown == sorted(found["attention"], reverse=True)[:2]  # half of four
    page = (people / "out" / "sub-3" / "sub-3.html").read_text()
    assert "Likeliest class" in page
    assert "left out" in page
    assert "age is not known" in page
    assert "Research use only" in page


@pytest.mark.slow
def test_scan_without_a_microbleed_has_no_subtype_in_evaluation_and_in_use(people):
    parser = parser_of("train", **small(people, found_lesions=0))
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("training")
    datalist = json.loads((people / "datalist.json").read_text())
    [item] = datalist["test"]
    mask = nib.load(item["label"])
    nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), people / "none.nii.gz")
    item["label"] = str(people / "none.nii.gz")
    (people / "datalist.json").write_text(json.dumps(datalist))

    parser_of("train", "evaluate", **small(people)).get_parsed_content("evaluating")
    [row] = predictions(people)
    assert [row[name] for name in CLASSES] == ["n/a"] * 3
    assert "no microbleed was found" in row["reason"]
    record = inferred(people, ("inference",), small(people))
    assert (record["subtype"], record["probabilities"]) == (None, dict.fromkeys(CLASSES))
    assert "no microbleed was found or given" in record["reason"]
    written = {path.name.removeprefix("sub-3") for path in (people / "out" / "sub-3").iterdir()}
    assert written == {"_cmb.nii.gz", "_lesions.tsv", ".json", ".html"}
    assert "Subtype not applicable" in (people / "out" / "sub-3" / "sub-3.html").read_text()


@pytest.mark.slow
def test_mask_rcnn_trains_and_is_evaluated_on_healthy_people_and_feeds_the_classifier(people):
    datalist = people / "datalist.json"
    datalist.write_text(datalist.read_text().replace("aSVD", "healthy"))
    network = {"image_size": 64, "rpn_post_nms_top_n_train": 50, "rpn_post_nms_top_n_test": 20}
    settings = {f"network_def#cascade#{name}": value for name, value in network.items()} | small(people)
    configs = ("train", "mask_rcnn", "train_mask_rcnn")
    parser = parser_of(*configs, **settings, **{"mask_rcnn#trainer#max_epochs": 1})
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("training")
    assert (people / "models" / "mask_rcnn.pt").exists()
    parser = parser_of(*configs, **settings)
    parser.get_parsed_content("evaluating")
    assert parser.get_parsed_content("mask_rcnn#evaluation#metric").counts()[0, 0, 0] == 1

    datalist.write_text(datalist.read_text().replace("healthy", "aSVD").replace('"label"', '"no_label"'))
    settings["cascade_weights"] = str(people / "models" / "mask_rcnn.pt")
    parser_of("train", "mask_rcnn", **settings).get_parsed_content("training")
    found = torch.load(people / "models" / "mask_rcnn.pt", weights_only=True)
    both = torch.load(people / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(both[f"cascade.{name}"], value) for name, value in found.items())
    parser_of("train", "mask_rcnn", "evaluate", **settings).get_parsed_content("evaluating")
    [row] = predictions(people)
    record = inferred(people, ("inference", "mask_rcnn"), settings)
    told = record["probabilities"]["CAA"]  # after one epoch it may have found nothing
    assert row["CAA"] == "n/a" if told is None else told == pytest.approx(float(row["CAA"]), abs=1e-3)


@pytest.mark.parametrize("bundle", ["cmb_detection", "csvd_classification"])
@pytest.mark.parametrize("name", ["train", "inference"])
def test_bundle_refuses_another_release(bundle, name, monkeypatch):
    parser = ConfigParser(config(name, ROOT / bundle))
    parser.get_parsed_content("network_def")
    monkeypatch.setattr("csvd.__version__", "0.0.9")
    with pytest.raises(RuntimeError) as error:
        ConfigParser(config(name, ROOT / bundle)).get_parsed_content("network_def")
    assert "the bundle was made with csvd 0.1.0, and csvd 0.0.9 is loaded from" in str(cause_of(error.value))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("overlays", [(), ("mask_rcnn", "train_mask_rcnn")])
def test_both_trainings_run_on_cuda_in_mixed_precision(people, overlays):
    settings = {"network_def#cascade#image_size": 64, "mask_rcnn#trainer#max_epochs": 1} if overlays else {}
    parser = parser_of("train", *overlays, **small(people, device=torch.device("cuda"), amp=True, **settings))
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("training")
    trainer = parser.get_parsed_content("mask_rcnn#trainer" if overlays else "train#trainer")
    loss = trainer.state.output["loss"] if overlays else trainer.state.output[0]["loss"]
    assert torch.isfinite(torch.as_tensor(loss))
