"""The learning curve: what is asked of the training bundle, and that nothing is tested on what was learned from."""

import json
import shutil
from pathlib import Path

import pytest
from measured import load, scan


@pytest.fixture
def learned(monkeypatch):
    """What the steps of the training bundle are asked for, none of which runs: (command, data list) each."""
    asked = []

    def fake(command, **_):
        folder = Path(command[command.index("--ckpt_dir") + 1])
        asked.append((command, json.loads((folder / "datalist.json").read_text())))
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("subprocess.run", fake)
    return asked


@pytest.fixture
def with_model(bundle):
    """The small bundle, whose weights and threshold need no files."""
    (bundle / "models" / "operating_points.json").write_text('{"operating_points": {"best_f1": {"threshold": 0.5}}}')
    return bundle


def test_learning_curve_trains_on_planted_scans_and_tests_on_others(run, learned, with_model, tmp_path, monkeypatch):
    monkeypatch.setattr("csvd.transforms.BrainMask.__call__", lambda self, image: (image > 0).float())
    heads = [tmp_path / f"T2_{name}.nii.gz" for name in "abc"]
    for head in heads:
        scan(head)
    load("scored")
    monkeypatch.setattr("scored.detect", lambda *a, settings=None, **k: detect_without(settings, *a, **k))
    how = ("--sizes", 0, 2, 3, "--each-test", 1, "--lesions", 2, "--mimics", 0, "--bundle", with_model)
    places = ("--heads", *heads[:2], "--test-heads", heads[2], "--out", tmp_path / "out")
    run("learning_curve", *places, *how, "--epochs", 1)
    assert [command[4] for command, _ in learned] == ["calibrate", "fine_tuning"] * 2
    backgrounds = [[item["background"] for item in lists["training"]] for _, lists in learned]
    assert backgrounds == [["T2_a", "T2_b"], ["T2_a"], ["T2_a", "T2_b", "T2_a"], ["T2_a", "T2_a"]]
    assert [len(lists["validation"]) for _, lists in learned] == [2, 1, 3, 1]
    command = learned[1][0]
    assert command[command.index("--train#trainer#max_epochs") + 1] == "1"
    assert "fine_tune.json" in command[command.index("--config_file") + 1]


def detect_without(settings, *arguments, **how):
    """Detect with the weights of the small bundle, whatever was learned."""
    from csvd.workflows.detection import detect

    assert not settings or Path(settings["handlers#0#load_path"]).name == "model.pt"
    return detect(*arguments, **how)


def test_leave_one_out_never_learns_from_the_scan_that_it_tests(run, learned, task2, with_model, tmp_path, monkeypatch):
    load("scored")
    monkeypatch.setattr("scored.detect", lambda *a, settings=None, **k: detect_without(settings, *a, **k))
    out = tmp_path / "out"
    rows = run("learning_curve", "--leave-one-out", task2, "--out", out, "--bundle", with_model)
    assert rows["all"][0] == "3"
    fine_tuned = [lists for command, lists in learned if command[4] == "fine_tuning"]
    used = [{item["subject"] for part in lists.values() for item in part} for lists in fine_tuned]
    assert sorted(map(sorted, used)) == [["sub-101", "sub-102"], ["sub-101", "sub-301"], ["sub-102", "sub-301"]]
    assert not any(
        {item["subject"] for item in lists["training"]} & {i["subject"] for i in lists["validation"]}
        for lists in fine_tuned
    )
    assert not list(out.iterdir())


def test_leave_one_out_needs_three_scans(run, task2, with_model, tmp_path):
    shutil.rmtree(task2 / "sub-301")
    with pytest.raises(SystemExit, match="Task2' holds 2 scans"):
        run("learning_curve", "--leave-one-out", task2, "--out", tmp_path / "out", "--bundle", with_model)


def test_step_that_fails_says_what_it_said(run, task2, with_model, tmp_path, monkeypatch):
    def broken(command, stdout, **_):
        stdout.write("no such key")
        stdout.flush()
        return type("Done", (), {"returncode": 1})

    monkeypatch.setattr("subprocess.run", broken)
    with pytest.raises(SystemExit, match="`run calibrate` failed:\nno such key"):
        run("learning_curve", "--leave-one-out", task2, "--out", tmp_path / "out", "--bundle", with_model)
