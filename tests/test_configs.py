"""The configs of the bundles: what each training names and attaches, and what MONAI and the model card ask of them."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.transforms import RandCoarseDropoutd
from parsed import CLASSIFICATION, DETECTION, ROOT, parsed, shown

CONFIGS = sorted(ROOT.glob("*/configs/*.json"))
LOGS = ["StatsHandler", "TensorBoardStatsHandler"]
VALIDATED = ["LrScheduleHandler", "ValidationHandler", *LOGS, "EarlyStop", "Resume"]
AVERAGED = ["LrScheduleHandler", "EMAHandler", *VALIDATED[1:]]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_no_config_addresses_a_position_in_a_list(path):
    assert not [key for key in json.loads(path.read_text()) if re.search(r"(#|::)\d+(#|::|$)", key)]


def test_default_recipe_is_short():
    assert len((ROOT / DETECTION / "configs" / "train.json").read_text().splitlines()) < 350


TRAININGS = {
    "train": (DETECTION, "train", "optimizer#lr", "train#dataset#batch_size"),
    "paper": (DETECTION, "train train_paper", "optimizer#lr", "train#dataloader#batch_size"),
    "gate": (DETECTION, "sequence_inference train_sequence", "train#optimizer#lr", "train#dataloader#batch_size"),
    "classification": (CLASSIFICATION, "train", "optimizer#lr", "train#dataloader#batch_size"),
}


@pytest.mark.parametrize(("bundle", "names", "rate", "batch"), TRAININGS.values(), ids=TRAININGS)
def test_epochs_rate_and_batch_size_are_set_at_the_top(tmp_path, bundle, names, rate, batch):
    parser = parsed(tmp_path, bundle, names, epochs=3, learning_rate=0.007, batch_size=5)
    ids = ("train#trainer#max_epochs", rate, batch)
    assert [parser.get_parsed_content(name) for name in ids] == [3, 0.007, 5]


def test_schedule_of_the_default_ends_with_its_last_batch(tmp_path):
    parser = parsed(tmp_path, DETECTION, "train", epochs=3, learning_rate=0.007)
    scheduler = parser.get_parsed_content("lr_scheduler")
    assert scheduler.total_steps == 3 * parser["train#sampler#batches"]
    assert scheduler.optimizer.param_groups[0]["max_lr"] == 0.007


HANDLERS = [
    (
        (DETECTION, "train"),
        {
            "train": ["ReplayHardFoci", "LrScheduleHandler", "EMAHandler", "ValidationHandler", *LOGS, "Resume"],
            "validate": LOGS,
        },
        {"network", "average", "optimizer", "lr_scheduler", "hard_foci"},
    ),
    (
        (DETECTION, "train train_paper"),
        {
            "train": VALIDATED,
            "validate": [*LOGS, "SaveBest"],
            "teacher": ["HardNegativeReplay", "LrScheduleHandler", *LOGS, "Resume"],
            "student": ["HardNegativeReplay", *VALIDATED],
        },
        {"network", "optimizer", "lr_scheduler", "best"},
    ),
    (
        (DETECTION, "sequence_inference train_sequence"),
        {"train": ["LrScheduleHandler", "ValidationHandler", "StatsHandler", "Resume"]},
        {"network", "optimizer", "lr_scheduler", "best"},
    ),
    (
        (CLASSIFICATION, "train"),
        {"train": ["CascadeWeights", "CovariateStatistics", *AVERAGED], "validate": [*LOGS, "SaveBest"]},
        {"network", "average", "optimizer", "lr_scheduler", "best"},
    ),
]


@pytest.mark.parametrize(("configs", "handlers", "kept"), HANDLERS, ids=TRAININGS)
def test_trainings_have_these_handlers_and_resume_this_state(tmp_path, configs, handlers, kept):
    parser = parsed(tmp_path, *configs)
    found = {part: parser.get_parsed_content(f"{part}#handlers") for part in handlers}
    assert {part: shown(group) for part, group in found.items()} == handlers
    assert set(found["train"][-1].handlers[-1].state) == kept


def test_average_of_the_classifier_is_what_is_validated_calibrated_and_saved(tmp_path):
    parser = parsed(tmp_path, CLASSIFICATION, "train")
    network, average, averaged = (parser.get_parsed_content(name) for name in ("network", "average", "averaged"))
    assert averaged.classifier is average.ema_model is not network.classifier
    assert averaged.cascade is network.cascade
    parts = ("validate#evaluator", "validate#save_best", "temperature", "train#stage")
    assert all(parser.get_parsed_content(name).network is averaged for name in parts)
    assert parser.get_parsed_content("train#trainer").network is network


def test_classifier_learns_from_scans_without_some_of_their_slices(tmp_path):
    transforms = parsed(tmp_path, CLASSIFICATION, "train").get_parsed_content("random_transforms")
    [leave_out] = [transform for transform in transforms if isinstance(transform, RandCoarseDropoutd)]
    leave_out.set_random_state(0)
    scans = [leave_out({"image": torch.ones(2, 32, 40, 16)})["image"] for _ in range(20)]
    shares = torch.stack([scan.flatten(0, 2).mean(dim=0) for scan in scans])
    assert set(shares.unique().tolist()) == {0, 1}
    left = (shares == 0).sum(dim=1)
    assert left.min() == 0
    assert 1 < left.max() <= 8


def training_command(card):
    """Return the settings of the command that trained the released weights: it has a seed."""
    commands = re.findall(r"^python -m monai\.bundle run training ((?:[^\\\n]|\\\n)*)", card, re.MULTILINE)
    [words] = [shlex.split(command.replace("\\\n", " ")) for command in commands if "--seed" in command]
    return dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2], strict=True))


def test_defaults_are_those_that_trained_the_released_weights(tmp_path):
    card = (ROOT / DETECTION / "docs" / "README.md").read_text()
    settings = training_command(card)
    assert settings.pop("config_file") == "configs/train.json"
    parser = parsed(tmp_path, DETECTION, "train")
    given = {name: value for name, value in settings.items() if not name.endswith("_dir")}
    assert {name: str(parser.get_parsed_content(name)) for name in given} == given
    said = re.search(r"(\d+) epochs of (\d+) batches of (\d+) patches", card)
    ids = ("train#trainer#max_epochs", "train#sampler#batches", "train#dataset#batch_size")
    assert [parser.get_parsed_content(name) for name in ids] == [int(number) for number in said.groups()]


@pytest.mark.parametrize(
    ("bundle", "names"),
    [
        (DETECTION, "train"),
        (DETECTION, "train evaluate"),
        (DETECTION, "train train_paper"),
        (DETECTION, "inference"),
        (DETECTION, "inference paper"),
        (CLASSIFICATION, "train"),
        (CLASSIFICATION, "inference"),
    ],
)
def test_monai_finds_its_properties(tmp_path, bundle, names):
    folder = ROOT / bundle / "configs"
    parser = parsed(tmp_path, bundle, names)
    lighter = ("train#dataset#cache_num", "validate#dataset#cache_num", "dataset#data")
    changed = [name for name in lighter if name in parser]
    workflow = ConfigWorkflow(
        config_file=[str(folder / f"{name}.json") for name in names.split()],
        meta_file=str(folder / "metadata.json"),
        logging_file=False,
        workflow_type="infer" if "inference" in names else "train",
        **{name: parser[name] for name in ("bundle_root", "dataset_dir", "output_dir", *changed)},
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.parametrize("name", ["cmb_detection", "csvd_classification"])
def test_inference_has_no_key_that_monai_label_takes_for_a_list_of_transforms(name):
    """Its server reads ``pre_transforms`` and ``post_transforms`` after ``preprocessing`` and ``postprocessing``."""
    config = json.loads((Path(__file__).parents[1] / "bundles" / name / "configs" / "inference.json").read_text())
    assert not {"pre_transforms", "post_transforms"} & set(config)
