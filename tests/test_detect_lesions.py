"""Microbleeds found for the classifier are those of the detection bundle."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import EnsureChannelFirstd, LoadImaged
from planted import ball
from test_patch_detector import Darkness

from csvd.engines import load_network
from csvd.inferers import DetectLesionsd
from csvd.io.content import settings_digest
from csvd.networks import PatchEnsemble
from csvd.phantom.planting_scan import plant_scan

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
POINTS = BUNDLE / "models" / "operating_points.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scan with three microbleeds, and its brain mask."""
    folder = tmp_path_factory.mktemp("scan")
    image, mask, affine = ball((96, 96, 12), (0.6, 0.6, 4.0))
    planted = plant_scan(image, mask, affine, lesions=3, seed=3, radius_mm=(1.5, 1.5), depth=(0.8, 0.8))
    for name, volume in {"sub-1_T2starw": planted.image.float(), "mask": mask.to(torch.uint8)}.items():
        nib.save(nib.Nifti1Image(volume.numpy(), np.asarray(affine)), folder / f"{name}.nii.gz")
    return {"image": str(folder / "sub-1_T2starw.nii.gz"), "mask": str(folder / "mask.nii.gz")}


@pytest.fixture
def item(files):
    return EnsureChannelFirstd(["image", "mask"])(LoadImaged(["image", "mask"])(files))


@pytest.fixture(scope="module")
def finds_all():
    return DetectLesionsd("image", Darkness(), POINTS)


def test_it_finds_what_the_detection_bundle_finds(files, item):
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.json"))
    parser["bundle_root"] = str(BUNDLE)
    network = load_network(parser.get_parsed_content("network"), parser.get_parsed_content("weights"))
    data = parser.get_parsed_content("preprocessing")(files)
    data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    data = parser.get_parsed_content("postprocessing")(data)
    found = DetectLesionsd("image", network, POINTS)(item)["found"]
    expected = data["prob"].as_tensor() * (data["pred"].as_tensor() > 0)
    assert expected.any()
    torch.testing.assert_close(found.as_tensor(), expected)
    torch.testing.assert_close(found.affine, item["image"].affine)


def test_the_scan_and_its_mask_stay_as_they_are(item, finds_all):
    out = finds_all(item)
    assert set(out) == {*item, "found"}
    for key in ("image", "mask"):
        assert out[key] is item[key]


def test_mask_that_is_made_on_the_way_is_not_kept(item, finds_all):
    del item["mask"]
    assert "mask" not in finds_all(item)


@pytest.mark.parametrize("known", [{"contrast": "bright"}, {"label": torch.zeros(1, 96, 96, 12)}])
def test_bright_microbleeds_and_those_that_are_known_are_not_looked_for(item, finds_all, known):
    assert "found" not in finds_all({**item, **known})


def test_training_looks_for_those_that_are_known_too(item):
    known = {**item, "label": torch.zeros(1, 96, 96, 12)}
    assert DetectLesionsd("image", Darkness(), POINTS, always=True)(known)["found"].any()


@pytest.mark.parametrize(
    ("known", "name", "some"), [({}, "T2starw", True), ({}, "swi", False), ({"sequence": "SWI"}, "T2starw", False)]
)
def test_threshold_is_that_of_the_sequence(item, tmp_path, known, name, some):
    points = {"operating_points": {"best_f1": {"threshold": 0.5}}}
    points["sequences"] = {"SWI": {"operating_points": {"best_f1": {"threshold": 1.0}}}}
    (tmp_path / "points.json").write_text(json.dumps(points))
    item["image"].meta["filename_or_obj"] = f"sub-1_{name}.nii.gz"
    found = DetectLesionsd("image", Darkness(), tmp_path / "points.json")({**item, **known})["found"]
    assert bool(found.any()) is some


def test_another_calibration_at_the_same_place_is_another_transform_to_a_cache(tmp_path):
    file, network = tmp_path / "points.json", Darkness()
    record = json.loads(POINTS.read_text())

    def told():
        file.write_text(json.dumps(record))
        return settings_digest([DetectLesionsd("image", network, file)])

    before = told()
    assert told() == before
    record["contrasts"]["dark"]["calibration"]["bias"] += 1
    assert told() != before


def test_without_its_operating_points_it_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"points\.json"):
        DetectLesionsd("image", Darkness(), tmp_path / "points.json")


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(RuntimeError, match="Missing key"):
        load_network(PatchEnsemble(), tmp_path / "model.pt")
