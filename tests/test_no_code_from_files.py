"""Files of others run no code: weights, caches, names, texts. Configs of bundles are code, and are named before."""

import ast
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_bundle import write_bundle, write_scan
from torch.nn import Linear

import csvd as package
from csvd.bundles import find_bundle
from csvd.checks import InputError
from csvd.engines.background_bank import read_banked
from csvd.engines.resume import Resume
from csvd.engines.weights import load_weights
from csvd.experiments.study import Study, Variant
from csvd.inferers.candidate_dataset import CandidateDataset
from csvd.io import DiskCacheDataset
from csvd.networks import FiveBlockCNN
from csvd.workflows.runner import read_config

SOURCES = sorted(Path(package.__file__).parent.rglob("*.py"))
NEVER = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "tarfile"}
CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "shutil.unpack_archive", "pd.read_pickle"}


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def bomb(tmp_path):
    """Weights that make a file ``exploded`` where pickle loads them."""
    path = tmp_path / "bomb.pt"
    torch.save({"weight": Bomb(tmp_path / "exploded")}, path)
    torch.load(path, weights_only=False)
    assert (tmp_path / "exploded").exists()  # it works
    (tmp_path / "exploded").unlink()
    return path


def calls_of(path):
    """Return the calls of a module: name, names of the arguments, and those that are constants."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def test_no_module_unpickles_or_evaluates():
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.partition(".")[0] for name in imported} & NEVER, path
        for name, words in calls_of(path):
            assert name not in CALLS, path
            assert not name.endswith(("extractall", ".extract")), path
            assert name != "torch.load" or words.get("weights_only") == "True", path
            assert not {"allow_pickle", "shell"} & words.keys(), path


@pytest.mark.parametrize("bundle", ["cmb_detection", "csvd_classification"])
def test_no_config_unpickles(bundle):
    for path in (find_bundle(bundle) / "configs").glob("*.json"):
        assert not any(word in path.read_text() for word in ("pickle", "weights_only", "eval(", "exec(", "os.system"))


def test_weights_that_would_run_code_are_refused(bomb, tmp_path):
    with pytest.raises(InputError, match="holds more than tensors, which would run code"):
        load_weights(Linear(1, 1), bomb)
    with pytest.raises(pickle.UnpicklingError):
        FiveBlockCNN(weights=str(bomb))
    resume = Resume(str(bomb), {})
    with pytest.raises(pickle.UnpicklingError):
        resume.load(type("Engine", (), {"state": type("State", (), {"epoch": 0})}))
    assert not (tmp_path / "exploded").exists()


def test_caches_that_would_run_code_are_refused(bomb, tmp_path):
    cache = DiskCacheDataset([{"number": 1}], [lambda item: item], str(tmp_path / "cache"))
    assert cache[0] == {"number": 1}
    [kept] = (tmp_path / "cache").iterdir()
    kept.write_bytes(bomb.read_bytes())
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        cache[0]
    found = CandidateDataset([{"number": 1}], Linear(1, 1), 0.5, (3, 3, 3), cache_dir=str(tmp_path / "found"))
    [file] = found._files(tmp_path / "found")
    file.write_bytes(bomb.read_bytes())
    with pytest.raises(pickle.UnpicklingError):
        list(found._of_scans())
    np.savez(tmp_path / "points.npz", foci=np.array([Bomb(tmp_path / "exploded")], object))
    (tmp_path / "scan.json").write_text('{"spacing_mm": [1, 1, 1]}')
    for name in ("slices", "brain"):
        np.save(tmp_path / f"{name}.npy", np.zeros(3))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_banked(tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["model.pt", "sequence.pt"])
def test_bundle_whose_weights_would_run_code_ends_the_command(csvd, bomb, tmp_path, name):
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "models" / name).write_bytes(bomb.read_bytes())
    write_scan(tmp_path / "a.nii.gz", 1)
    code, _, errors = csvd("detect", tmp_path / "a.nii.gz", "--out", tmp_path / "out", "--bundle", bundle)
    assert (code, len(errors)) == (2, 1)
    assert f"weights '{bundle / 'models' / name}' cannot be read" in errors[0]
    assert not (tmp_path / "exploded").exists()


CODE = "$__import__('pathlib').Path('exploded').touch()"


@pytest.mark.parametrize("out", [CODE, "@network", "%x"])
def test_folders_whose_names_are_code_are_folders(csvd, tmp_path, monkeypatch, bundle, out):
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "in" / f"{CODE.replace('/', '_')}.nii.gz", 1)
    code, _, errors = csvd("detect", "in", "--out", out, "--bundle", bundle)
    assert (code, errors) == (0, [])
    assert {path.name for path in tmp_path.iterdir()} == {"in", out}


@pytest.mark.parametrize("out", [CODE, "@network", "%x"])
def test_folder_of_an_experiment_whose_name_is_code_is_a_folder(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    study = Study(Path(out), find_bundle("cmb_detection"), {})
    parser = study.parser(study.data("some", test=[]), study.out / "weights", Variant("plain"))
    assert parser.get_parsed_content("ckpt_dir") == str(tmp_path / out / "weights")
    assert {path.name for path in tmp_path.iterdir()} == {out}


def test_results_and_lists_whose_texts_are_code_are_refused(csvd, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a.nii.gz", 1)
    command = ("detect", tmp_path / "a.nii.gz", "--out", tmp_path / "out", "--bundle", bundle)
    assert csvd(*command)[0] == 0
    record = tmp_path / "out" / "a" / "a.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sequence": CODE}))
    code, _, errors = csvd(*command, "--resume")
    assert (code, "sequence must be one of" in errors[0]) == (2, True)
    items = {"test": [{"image": "a.nii.gz", "sequence": CODE}]}
    (tmp_path / "list.json").write_text(json.dumps(items))
    code, _, errors = csvd("detect", tmp_path / "list.json", "--out", tmp_path / "other", "--bundle", bundle)
    assert (code, "`sequence` of case 'a' must be one of" in errors[0]) == (2, True)
    assert not (tmp_path / "exploded").exists()


def test_configs_of_the_working_folder_are_not_read(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("bundles/cmb_detection/configs", "configs"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "inference.json").write_text(json.dumps({"x": CODE}))
    assert tmp_path not in find_bundle("cmb_detection").parents
    other = write_bundle(tmp_path / "other")
    config = other / "configs" / "inference.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"contrast_overlays": {"dark": "near"}}))
    (tmp_path / "near").write_text(json.dumps({"x": CODE}))
    with pytest.raises(InputError, match=r"near\.json"):
        read_config(other, {"contrast": "dark"})


def test_a_bundle_of_the_user_is_named_before_its_configs_run(csvd, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["csvd.cli.app"], "is_terminal", lambda console: True)
    _, _, errors = csvd("detect", tmp_path / "none.nii.gz", "--out", tmp_path / "out", "--bundle", bundle)
    assert f"the configs of bundle '{bundle}' run as code" in " ".join(errors[0].split())
    own = find_bundle("cmb_detection")
    _, _, errors = csvd("detect", tmp_path / "none.nii.gz", "--out", tmp_path / "out", "--bundle", own)
    assert "run as code" not in " ".join(errors)
