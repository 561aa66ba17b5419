"""The detection bundle: what MONAI, the Zoo and a person at the command line ask of it."""

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import pytest
import torch
from geometry import planted_scan
from monai.bundle import ConfigParser
from monai.transforms import RandomizableTrait
from trained import BUNDLE, EPOCHS, QUICK, bundle_run, killed, train_in
from warm import torchrun

from csvd.io import load_datalist
from csvd.workflows.pack import pack_bundle

SHARED_BLOCKS = ("network_def", "network", "transforms", "image_transforms", "contrast", "volume", "device")
ONLY_DEFAULT = ("_desc_", "validate#dataset#data#section", "transforms#scan#_disabled_", "+validate#result_transforms")
"""What `evaluate.json` says of the default alone: it draws outlines."""
DETECTORS = {"default": ("inference",), "paper": ("inference", "paper")}
PAPER = BUNDLE / "models" / "paper"


def config(name):
    return json.loads((BUNDLE / "configs" / f"{name}.json").read_text())


def parser_of(*names):
    """Return a parser of these configs, one over the other."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in names])
    parser["bundle_root"] = str(BUNDLE)
    return parser


def every_string(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from every_string(item)
    elif isinstance(value, list):
        for item in value:
            yield from every_string(item)
    elif isinstance(value, str):
        yield value


def without_copy(block):
    """Preprocessing without the copy of the scan that outlines are drawn on, which a training does not need."""
    return {name: step for name, step in block.items() if name != "scan"} if isinstance(block, dict) else block


@pytest.mark.parametrize("block", SHARED_BLOCKS)
def test_training_and_inference_share(block):
    assert without_copy(config("train")[block]) == without_copy(config("inference")[block])


@pytest.mark.parametrize("block", [*SHARED_BLOCKS, "patch_size", "candidate_threshold"])
def test_training_and_inference_of_the_paper_share(block):
    assert parser_of("train", "train_paper")[block] == without_copy(parser_of("inference", "paper")[block])


def test_training_and_inference_of_the_paper_clean_up_alike():
    assert {**config("train_paper")["clean_up"], "keys": "pred"} == parser_of("inference", "paper")["clean_up"]


def test_default_and_paper_are_evaluated_alike():
    default, paper = config("evaluate"), config("evaluate_paper")
    assert {name: paper[name] for name in default if name in paper and name != "_desc_"} == {
        name: value for name, value in default.items() if name not in ONLY_DEFAULT
    }


@pytest.mark.parametrize(("names", "first"), [(("inference",), "outlines"), (("inference", "paper"), "clean-up")])
def test_clean_up_of_the_default_looks_at_outlines_and_the_papers_at_its_first_step(names, first):
    steps = str(list(parser_of(*names)["result_transforms"].values()))
    assert steps.count("@clean_up") == 1
    assert (steps.index("@clean_up") < steps.index("LesionOutlined")) == (first == "clean-up")


def test_default_cleans_up_when_asked():
    parser = parser_of("inference")
    assert parser["clean_up"]["min_volume_mm3"] is None
    parser["clean_up#min_volume_mm3"] = 2.5
    assert parser.get_parsed_content("clean_up").filter.min_volume_mm3 == 2.5


def test_teacher_is_evaluated_as_it_was_trained():
    assert config("train_paper")["teacher"]["network_def"] == config("evaluate_teacher")["network_def#discriminator"]


@pytest.mark.parametrize("path", sorted((BUNDLE / "configs").glob("*.json")), ids=lambda path: path.stem)
def test_configs_hold_no_logic(path):
    for text in every_string(json.loads(path.read_text())):
        assert not (text.startswith("$") and ("lambda" in text or " for " in text))
        assert "%" not in text


@pytest.mark.parametrize("names", DETECTORS.values(), ids=DETECTORS)
def test_weights_are_a_bare_state_dict_below_the_zoos_limit(names):
    parser = parser_of(*names)
    path = Path(parser.get_parsed_content("handlers#0#load_path"))
    assert path.stat().st_size < 25e6
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(path, weights_only=True))


def test_metadata_says_what_the_network_takes_and_gives():
    metadata = config("metadata")
    network = parser_of("inference").get_parsed_content("network_def").eval()
    image, pred = (metadata["network_data_format"][way] for way in ("inputs", "outputs"))
    patches = torch.rand(3, image["image"]["num_channels"], *image["image"]["spatial_shape"])
    result = network(patches)
    assert result.reshape(3, -1).shape[1] == pred["pred"]["num_channels"] == 1
    assert ((result > 0) & (result < 1)).all()
    torch.testing.assert_close(network(1000 * patches), result)  # of any scale
    assert metadata["version"] in metadata["changelog"]


def test_one_file_of_weights_alone_lies_where_monai_label_looks():
    """It takes the file with the shortest name for the network's."""
    assert min((path.name for path in (BUNDLE / "models").glob("*.pt")), key=len) == "model.pt"


def training(dataset_dir, folder, **settings):
    """Return a parser of train_paper.json for a quick training on this cohort, and its trainer."""
    parser = parser_of("train", "train_paper")
    size = {"patch_size": [24, 24, 8], "margin_size": [30, 30, 10], "student#sampler#num_samples": 32}
    features = {"network_def#detector#features": 2, "network_def#discriminator#features": 2}
    quick = {**size, **features, "train#trainer#max_epochs": 1, "val_interval": 1}
    paths = {"dataset_dir": str(dataset_dir), "ckpt_dir": str(folder), "output_dir": str(folder)}
    for name, value in {**paths, **quick, **settings}.items():
        parser[name] = value
    return parser, parser.get_parsed_content("train#trainer")


def test_patches_of_a_scan_without_lesions_are_fine(small_cohort, tmp_path):
    parser, _ = training(small_cohort, tmp_path)
    patches = parser.get_parsed_content("train#dataset")[0]
    assert {tuple(patch["image"].shape) for patch in patches} == {(2, 24, 24, 8)}
    assert not any(patch["label"].any() for patch in patches)
    assert set(patches[0]) == {"image", "label"}


def test_all_that_is_not_random_is_cached(small_cohort, tmp_path):
    parser, _ = training(small_cohort, tmp_path)
    transforms = parser.get_parsed_content("train#preprocessing").transforms
    first_random = next(k for k, transform in enumerate(transforms) if isinstance(transform, RandomizableTrait))
    assert type(transforms[first_random]).__name__ == "RandCropByPosNegLabeld"


@pytest.mark.parametrize(
    ("bundle", "names", "weights"),
    [
        ("cmb_detection", ("inference",), "model.pt"),
        ("cmb_detection", ("inference", "paper"), "paper/model.pt"),
        ("csvd_classification", ("inference",), "model.pt"),
    ],
)
def test_weights_have_the_names_of_the_network(bundle, names, weights):
    """MONAI Label takes weights of other names with a warning, and answers with random ones."""
    folder = BUNDLE.parent / bundle
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / f"{name}.json") for name in names])
    parser["bundle_root"] = str(folder)
    state = torch.load(folder / "models" / weights, map_location="cpu", weights_only=True)
    assert state.keys() == parser.get_parsed_content("network_def").state_dict().keys()


def test_half_of_the_patches_of_other_scans_hold_a_lesion(small_cohort, tmp_path):
    parser, _ = training(small_cohort, tmp_path)
    dataset = parser.get_parsed_content("train#dataset")
    dataset.transform.set_random_state(seed=0)
    held = [bool(patch["label"].any()) for _ in range(4) for patch in dataset[1]]
    assert 0.3 < sum(held) / len(held) < 0.9


@pytest.mark.parametrize(
    "annotation",
    [{"points": [[24.0, 8.0, 30.0]]}, {"box": [[-24.0, -8.0, 30.0, 10.0, 10.0, 10.0]], "label": [0]}],
    ids=["point", "box of Slicer"],
)
def test_points_and_boxes_train_like_masks(small_cohort, tmp_path, annotation):
    items = [{"image": str(small_cohort / "sub-1_swi.nii.gz"), **annotation}]
    parser, _ = training(small_cohort, tmp_path, **{"train#dataset#data": items})
    patches = [patch for _ in range(4) for patch in parser.get_parsed_content("train#dataset")[0]]
    assert any(patch["label"].any() for patch in patches)
    assert set(patches[0]) == {"image", "label"}


def assert_same_weights(one, other, **tolerance):
    one, other = (torch.load(folder / "model.pt", weights_only=True) for folder in (one, other))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


DETECTOR = ("--network_def#detector#features", "2", "--candidate_threshold", "0.1")
"""Settings of the detector of the shared training."""


def with_weights(trained, folder, *names):
    """Return ``folder`` with the weights of these networks of the shared training."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(trained / f"{name}.pt", folder)
    return folder


@pytest.mark.slow
def test_training_killed_in_each_stage_ends_like_one_left_alone(small_cohort, trained, tmp_path):
    broken = tmp_path / "broken"
    for stage in ("detector", "teacher", "student"):
        assert killed(broken, small_cohort, *EPOCHS, when=f"resume_{stage}.pt")
        assert not (broken / "model.pt").exists()
    assert "resumed from" in train_in(broken, small_cohort, *EPOCHS)
    assert_same_weights(broken, trained, atol=1e-4, rtol=1e-3)
    assert not list(broken.glob("resume_*"))
    assert not (broken / "candidates").exists()


@pytest.mark.slow
def test_stages_run_by_themselves(small_cohort, trained, tmp_path):
    """As they do in one training; the first of them, in the test of what is kept on disk."""
    alone = with_weights(trained, tmp_path / "alone", "detector")
    for stage in ("teacher", "student"):
        train_in(alone, small_cohort, *EPOCHS, run=f"train_{stage}")
    assert_same_weights(alone, trained, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_given_weights_are_not_trained(small_cohort, trained, tmp_path):
    given = [(f"--{name}_weights", str(trained / f"{name}.pt")) for name in ("detector", "teacher", "student")]
    output = train_in(tmp_path, small_cohort, *sum(given, ()))
    assert output.count("not trained") == 3
    train_in(tmp_path, small_cohort, run="calibrate")
    assert_same_weights(tmp_path, trained, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_preprocessed_scans_are_kept_on_disk(small_cohort, tmp_path):
    overlays = ("--config_file", "['configs/train.json','configs/train_paper.json','configs/cache_on_disk.json']")
    train_in(tmp_path, small_cohort, *overlays, run="train_detector")
    scans = list((tmp_path / "scans").glob("*.pt"))
    lists = [load_datalist(small_cohort / "datalist.json", section) for section in ("training", "validation")]
    assert len(scans) == sum(map(len, lists))
    assert (tmp_path / "detector.pt").exists()


@pytest.mark.slow
def test_student_trains_without_its_teacher(small_cohort, trained, tmp_path):
    with_weights(trained, tmp_path, "detector")
    names = (
        "['configs/train.json','configs/train_paper.json','configs/train_student_no_kd.json','configs/bfloat16.json']"
    )
    overlays = ("--config_file", names)
    output = train_in(tmp_path, small_cohort, *overlays, run="train_student_no_kd")
    assert "student_loss" in output
    before = torch.load(tmp_path / "model.pt", weights_only=True)
    assert not before["places"].any()
    train_in(tmp_path, small_cohort, *overlays, run="fit_location_prior")
    after = torch.load(tmp_path / "model.pt", weights_only=True)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"places"}


@pytest.mark.slow
@pytest.mark.parametrize("configs", [("residual", "train_residual"), ("five_block",)])
def test_another_discriminator_trains(configs, small_cohort, trained, tmp_path):
    with_weights(trained, tmp_path, "detector")
    names = [f"configs/{name}.json" for name in ("train", "train_paper", "train_student_no_kd", *configs)]
    patches = ("--patch_size", "[32,32,8]", "--student#dataset#patch_size", "[34,34,10]")
    overlays = ("--config_file", str(names))
    output = train_in(tmp_path, small_cohort, *overlays, *patches, run="train_student_no_kd")
    assert "student_loss" in output
    assert (tmp_path / "model.pt").exists()


@pytest.mark.slow
def test_fine_tuning_starts_from_the_bundle_and_keeps_what_is_frozen(small_cohort, tmp_path):
    names = "['configs/train.json','configs/train_paper.json','configs/fine_tune_paper.json']"
    folders = ("--dataset_dir", str(small_cohort), "--output_dir", str(tmp_path))
    size = ("--train#trainer#max_epochs", "1", "--student#sampler#num_samples", "64", "--val_interval", "1")
    before = torch.load(PAPER / "model.pt", weights_only=True)
    bundle_run("fine_tuning", "--config_file", names, *folders, *size, cwd=BUNDLE)
    after = torch.load(tmp_path / "model.pt", weights_only=True)
    same = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert {name for name in before if name.startswith("detector.")} <= same
    learnt = {name for name in before if name.endswith(("weight", "bias")) and name.startswith("discriminator.")}
    assert learnt & same == {name for name in learnt if name.startswith("discriminator.encoder.")}
    again = torch.load(PAPER / "model.pt", weights_only=True)
    assert all(torch.equal(again[name], value) for name, value in before.items())


@pytest.mark.slow
def test_gate_is_trained_goes_on_and_names_series(tmp_path):
    for k, kind in enumerate(["T1", "T2", "T1", "T2"]):
        nib.save(
            planted_scan(voxel_mm=(2.0, 2.0, 4.0), shape=(48, 56, 22), seed=k).image, tmp_path / f"{kind}_{k}.nii.gz"
        )
    items = [{"image": path.name, "sequence": path.name[:2]} for path in sorted(tmp_path.glob("*.nii.gz"))]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": items, "validation": items[:2]}))
    names = ("--config_file", "['configs/sequence_inference.json','configs/train_sequence.json']")
    first, second = tmp_path / "first", tmp_path / "second"
    size = ("--dataset_dir", str(tmp_path), "--pixels", "32", "--train#trainer#max_epochs", "1")
    bundle_run("training", *names, *size, "--ckpt_dir", str(first), "--output_dir", str(first), cwd=BUNDLE)
    on = ("--start", str(first / "sequence.pt"), "--frozen", r"backbone\.(?!fc)")
    bundle_run("training", *names, *size, *on, "--ckpt_dir", str(second), "--output_dir", str(second), cwd=BUNDLE)
    before, after = (torch.load(folder / "sequence.pt", weights_only=True) for folder in (first, second))
    same = {name for name in before if name.endswith(("weight", "bias")) and torch.equal(before[name], after[name])}
    assert all((".fc." in name) != (name in same) for name in before if name.endswith(("weight", "bias")))
    assert not list(second.glob("slices*"))  # what is kept to resume
    used = ("--config_file", "configs/sequence_inference.json", "--dataset_dir", str(tmp_path), "--pictures", "True")
    bundle_run("inferring", *used, "--ckpt_dir", str(second), "--output_dir", str(tmp_path / "eval"), cwd=BUNDLE)
    assert len((tmp_path / "eval" / "sequences.tsv").read_text().splitlines()) == 5
    assert len(list((tmp_path / "eval").glob("*_sequence.png"))) == 4


@pytest.mark.slow
def test_folds_are_trained_joined_and_used(small_cohort, trained, tmp_path):
    items = json.loads((small_cohort / "datalist.json").read_text())
    everyone = [item for section in items.values() for item in section]
    training = [{**item, "fold": k % 2} for k, item in enumerate(everyone)]
    for item in training:
        item |= {key: str(small_cohort / item[key]) for key in ("image", "label")}
    (tmp_path / "datalist.json").write_text(json.dumps({"training": training, "test": training[1:2]}))
    with_weights(trained, tmp_path / "detector", "detector")
    folders = ("--dataset_dir", str(tmp_path), "--ckpt_dir", str(tmp_path / "detector"), *DETECTOR)
    names = ("train", "train_paper", "train_student_no_kd", "residual", "train_residual", "train_fold")
    configs = ("--config_file", str([f"configs/{name}.json" for name in names]))
    size = ("--train#trainer#max_epochs", "1", "--student#sampler#num_samples", "16", "--val_interval", "1")
    for fold in "01":
        bundle_run("train_fold", *configs, *folders, *size, "--fold", fold, cwd=BUNDLE)
    joined = (
        "--config_file",
        "['configs/train.json','configs/train_paper.json','configs/residual_folds.json']",
        "--folds",
        "2",
    )
    bundle_run("join_folds", *joined, *folders, cwd=BUNDLE)
    state = torch.load(tmp_path / "detector" / "model.pt", weights_only=True)
    for fold in "01":
        of_fold = torch.load(tmp_path / "detector" / f"fold_{fold}" / "student.pt", weights_only=True)
        assert all(torch.equal(state[f"discriminator.folds.{fold}.{name}"], of_fold[name]) for name in of_fold)
    names = ("train", "train_paper", "evaluate_paper", "residual_folds")
    used = ("--config_file", str([f"configs/{name}.json" for name in names]))
    output = ("--folds", "2", "--output_dir", str(tmp_path / "eval"))
    assert "fps_per_subject" in bundle_run("evaluating", *used, *folders, *output, cwd=BUNDLE)


def losses_of(processes, folder, dataset_dir):
    """Return the loss of each epoch, the mean over processes, of a global batch of two."""
    configs = "['configs/train.json','configs/train_paper.json','configs/multi_gpu_paper.json']"
    folders = ("--dataset_dir", str(dataset_dir), "--ckpt_dir", str(folder), "--output_dir", str(folder))
    size = ("--train#trainer#max_epochs", "8", "--network_def#detector#norm", "instance")  # no statistics of a batch
    batch = ("--train#dataloader#batch_size", str(2 // processes))
    arguments = ("train_detector", "--config_file", configs, *folders, *QUICK, *size, *batch)
    command, environment = torchrun(folder, processes, "monai.bundle", "run", *arguments)
    done = subprocess.run(command, cwd=BUNDLE, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    losses = defaultdict(list)
    for epoch, loss in re.findall(r"Epoch: (\d)/8.*train_loss: ([\d.]+)", done.stdout + done.stderr):
        losses[epoch].append(float(loss))
    assert {len(values) for values in losses.values()} == {processes}
    return [sum(values) / processes for values in losses.values()]


@pytest.mark.slow
def test_two_processes_train_like_one(small_cohort, tmp_path):
    one, two = (losses_of(processes, tmp_path / str(processes), small_cohort) for processes in (1, 2))
    assert one[-1] < one[0]
    assert two == pytest.approx(one, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("train", "evaluate"), ("train", "train_paper", "evaluate_paper")])
def test_evaluation_prints_the_rates(names, small_cohort, tmp_path):
    configs = str([f"configs/{name}.json" for name in names])
    arguments = ("--dataset_dir", str(small_cohort), "--output_dir", str(tmp_path))
    output = bundle_run("evaluating", "--config_file", configs, *arguments, cwd=BUNDLE)
    assert "tpr" in output
    assert (tmp_path / "metrics.csv").exists()


@pytest.mark.slow
def test_packed_bundle_runs_by_itself(small_cohort, tmp_path):
    with zipfile.ZipFile(pack_bundle(BUNDLE, tmp_path / "packed.zip")) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / BUNDLE.name
    code = (
        "import sys, csvd; from monai.bundle import run; print(csvd.__file__)\n"
        "for name in ('inference', 'sequence_inference'):\n"
        "    run('inferring', config_file=f'configs/{name}.json', dataset_dir=sys.argv[1], output_dir=sys.argv[2])"
    )
    arguments = (str(small_cohort / "sub-1_swi.nii.gz"), str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(str(folder))
    assert (tmp_path / "out" / "sub-1_swi" / "sub-1_swi_lesions.tsv").exists()
    assert (tmp_path / "out" / "sequences.tsv").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("detector", DETECTORS)
def test_network_gives_the_same_on_cuda(detector):
    parser = parser_of(*DETECTORS[detector])
    network = parser.get_parsed_content("network_def").eval()
    weights = torch.load(parser.get_parsed_content("handlers#0#load_path"), weights_only=True)
    network.load_state_dict(weights)
    size = {"default": (8, 5, 48, 48), "paper": (1, 2, 32, 32, 16)}[detector]
    judge = torch.nn.Identity() if detector == "default" else torch.nn.Softmax(1)
    image = torch.rand(size)
    with torch.no_grad():
        expected, result = judge(network(image)), judge(network.cuda()(image.cuda()))
    torch.testing.assert_close(result.cpu(), expected, atol=2e-3, rtol=0)  # TF32 convolutions keep 10 bits


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_one_epoch_on_cuda_ends_near_the_cpu(small_cohort, tmp_path):
    losses = {}
    for device in ("cpu", "cuda"):
        parser, trainer = training(small_cohort, tmp_path / device, device=torch.device(device), amp=device == "cuda")
        parser.get_parsed_content("initialize")
        trainer.run()
        losses[device] = trainer.state.output[0]["loss"]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.05)  # half precision, other random numbers


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_all_three_trainings_run_on_cuda_in_mixed_precision(small_cohort, tmp_path):
    settings = {"device": torch.device("cuda"), "amp": True, "candidate_threshold": 0.1}
    parser, _ = training(small_cohort, tmp_path, **settings)
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    trainers = [parser.get_parsed_content(f"{stage}#trainer") for stage in ("train", "teacher", "student")]
    assert [trainer.state.epoch for trainer in trainers] == [1, 1, 1]
    assert all(torch.isfinite(torch.as_tensor(trainer.state.output[0]["loss"])) for trainer in trainers)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cascade_gives_the_same_on_cuda(small_cohort, record_property, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    parser = parser_of("inference", "paper")
    network, inferer = (parser.get_parsed_content(name) for name in ("network_def", "inferer"))
    network.load_state_dict(torch.load(PAPER / "model.pt", weights_only=True))
    item = load_datalist(small_cohort / "datalist.json", "test")[0]
    image = parser.get_parsed_content("preprocessing")(item)["image"][None]
    with torch.inference_mode():
        expected = inferer(image, network.eval())
        network.cuda()
        inferer(image.cuda(), network)  # the first pass chooses its kernels
        torch.cuda.synchronize()
        started = time.perf_counter()
        result = inferer(image.cuda(), network).cpu()
        record_property("seconds_per_scan", time.perf_counter() - started)
    torch.testing.assert_close(result[:, 0], expected[:, 0], atol=1e-3, rtol=0)
    differs = (result[:, 1] - expected[:, 1]).abs() > 1e-2
    assert differs.float().mean() < 1e-5  # a voxel at the threshold may fall to either side


@pytest.mark.slow
def test_training_from_the_bundle_folder_and_from_elsewhere(small_cohort, trained, tmp_path):
    elsewhere = (
        "--bundle_root",
        str(BUNDLE),
        "--config_file",
        str([str(BUNDLE / "configs" / f"{name}.json") for name in ("train", "train_paper")]),
    )
    here = tmp_path / "here"
    folders = ("--ckpt_dir", str(here), "--output_dir", str(here))
    bundle_run("training", *elsewhere, "--dataset_dir", str(small_cohort), *QUICK, *folders, cwd=tmp_path)
    for folder in (trained, here):
        assert {"model.pt", "operating_points.json"} <= {path.name for path in folder.iterdir()}
        assert list(folder.glob("events.out.tfevents*"))
