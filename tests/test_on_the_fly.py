"""Subjects that are simulated while a network learns from them."""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.transforms import LoadImage
from small import DETECTION, PROTOCOL

from csvd.phantom import PROTOCOLS, FreshSubjects, SimulatedSubjects, SimulationReader, simulate_subject


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "tiny", PROTOCOL)


def test_items_name_what_is_simulated():
    subjects = SimulatedSubjects("tiny", seed=3, subjects=4)
    assert len(subjects) == 4
    assert [item["image"] for item in subjects] == ["tiny/3/0/swi", "tiny/3/1/mag", "tiny/3/2/qsm", "tiny/3/3/swi"]
    assert subjects[2]["contrast"] == "bright"
    subjects.show(2)
    assert subjects[0]["label"] == "tiny/3/8/label"


def test_volumes_are_those_of_the_subject():
    subject = simulate_subject(PROTOCOL, seed=3, index=1)
    load = LoadImage(SimulationReader(), ensure_channel_first=True)
    for kind, volume in (("swi", subject.images["swi"]), ("label", subject.label), ("mask", subject.mask)):
        loaded = load(f"tiny/3/1/{kind}")
        torch.testing.assert_close(loaded[0].as_tensor(), volume.float())
        torch.testing.assert_close(loaded.affine, subject.affine)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match=r"'scan\.nii' is no simulated volume"):
        SimulationReader().read("scan.nii")
    with pytest.raises(ValueError, match="`preset` must be one of"):
        SimulatedSubjects("none", 0, 1)


def test_no_subject_is_seen_twice():
    subjects, seen = SimulatedSubjects("tiny", seed=3, subjects=2), []
    trainer = Engine(lambda engine, item: seen.append(item["subject"]))
    FreshSubjects(subjects).attach(trainer)
    trainer.run(subjects, max_epochs=3, epoch_length=2)
    assert len(set(seen)) == 6


@pytest.mark.slow
def test_a_detector_learns_from_subjects_without_files(tmp_path):
    parser = ConfigParser()
    parser.read_config([str(DETECTION / "configs" / f"{name}.json") for name in ("train", "train_paper", "on_the_fly")])
    folders = {"bundle_root": str(DETECTION), "output_dir": str(tmp_path), "ckpt_dir": str(tmp_path)}
    small = {"preset": "tiny", "subjects": 2, "train#trainer#max_epochs": 2, "val_interval": 2}
    parser.update({**folders, **small, "validate#dataset#data#subjects": 1, "train#dataloader#batch_size": 1})
    seen = SimpleNamespace(first=parser.get_parsed_content("train#subjects"))
    parser.get_parsed_content("train_detector")
    assert seen.first.first == 2
    assert (tmp_path / "detector.pt").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_simulates_the_same():
    there, here = (simulate_subject(PROTOCOL, seed=3, device=device) for device in ("cuda", "cpu"))
    assert torch.equal(there.label, here.label)
    for kind in ("swi", "mag", "qsm"):
        spread = float(here.images[kind].std())
        torch.testing.assert_close(there.images[kind], here.images[kind], atol=0.05 * spread, rtol=0)
