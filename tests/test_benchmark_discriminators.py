"""The benchmark of discriminators: what it adds to the table of the experiment, on scans and results made by hand."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import pytest
import torch
from geometry import sphere_fraction
from measured import FIRST, load, save, save_task2, write

from csvd.bundles import find_bundle
from csvd.experiments import Study
from csvd.experiments.discriminators import TEACHER, Discriminator, inference_settings
from csvd.experiments.distillation import AS_TEACHER
from csvd.experiments.study import Variant


@pytest.fixture(scope="module")
def benchmark():
    return load("discriminators")


@pytest.fixture
def more(benchmark, tmp_path):
    return benchmark.More(tmp_path / "out", subjects=1, valdo=save_task2(tmp_path / "Task2"))


def test_real_scans_are_counted_as_those_of_the_challenge(benchmark, more, monkeypatch):
    """A network that finds the first microbleed in each scan: one of one, one of two, and one too many."""
    asked = []

    def detect(source, results, bundle, **how):
        asked.append(how)
        for item in benchmark.find_scans(more.valdo):
            case = Path(item["image"]).name.removesuffix(".nii.gz")
            label = nib.load(item["label"])
            save(
                results / case / f"{case}_cmb.nii.gz",
                sphere_fraction(label.affine, label.shape, FIRST, 5.0) > 0.5,
                label.affine,
            )
            write(results / case / f"{case}_lesions.tsv", [{"id": 1, "probability": 0.9}])
            yield {"case": case}

    monkeypatch.setattr(benchmark, "detect", lambda *given, **how: list(detect(*given, **how)))
    monkeypatch.setattr(benchmark.More, "outlines", lambda self, settings: {"Dice": "0.95"})
    columns = more("a network", {"threshold": 0.25})
    assert columns["Dice"] == "0.95"
    assert (columns["real scans"], columns["real lesions"]) == ("3", "3")
    assert [columns[name].split()[0] for name in ("real TPR", "real FPs per scan", "real F1")] == [
        "0.67",
        "0.33",
        "0.67",
    ]
    assert (asked[0]["settings"], asked[0]["overlays"]) == ({"threshold": 0.25}, ["paper"])
    assert more("a network", {"threshold": 0.25}) == columns
    assert len(asked) == 1  # nothing is done twice


def test_dice_is_the_median_of_the_lesions_found(benchmark, more, monkeypatch):
    def compare(scan, networks, measured):
        for outline, dice in (("its own", (0.3, 0.5, 0.4)), ("outline stage", ())):
            measured["it", outline] = SimpleNamespace(found=[(value, 0.0, 0.0, 0.0) for value in dice])

    more.__dict__["scans"] = ["a scan"]
    monkeypatch.setattr(benchmark, "Pipeline", lambda *_: None)
    monkeypatch.setattr(benchmark, "compare", compare)
    assert more.outlines({"weights": "model.pt"}) == {"Dice, own outline": "0.40 (3)", "Dice, outline stage": ""}


@pytest.mark.parametrize(
    ("name", "variant"),
    [(TEACHER, Variant(TEACHER, settings=AS_TEACHER)), ("five-block", Variant("five-block", ("five_block",)))],
)
def test_discriminator_of_a_training_detects_scans(benchmark, tmp_path, name, variant):
    study = Study(tmp_path, find_bundle("cmb_detection"), {"candidate_threshold": 0.42})
    data = study.data("given", training=[])
    network = study.parser(data, tmp_path, variant).get_parsed_content("network")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    settings = inference_settings(study, data, Discriminator(name, tmp_path, variant, tmp_path), threshold=0.3)
    pipeline = benchmark.Pipeline({"": (Path(settings["weights"]), "")}, ["paper"], settings)
    mine, theirs = pipeline.parser.get_parsed_content("network").state_dict(), network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert pipeline.parser.get_parsed_content("threshold") == 0.3
    assert pipeline.parser.get_parsed_content("inferer").threshold == 0.42
