"""What each overlay of the bundles' configs changes."""

import json

import pytest
import torch
from parsed import CLASSIFICATION, DETECTION, ROOT, parsed, shown

LOADED = ["LoadImaged", "EnsureChannelFirstd", "LoadMaskd", "SelectVolumed"]
CUT = [
    "LimitSpacingd",
    "BrainMaskd",
    "N4BiasCorrectiond",
    "InvertIntensityd",
    "PercentileNormalized",
    "CropForegroundd",
]
LOGS = ["StatsHandler", "TensorBoardStatsHandler"]
VALIDATED = ["LrScheduleHandler", "ValidationHandler", *LOGS, "EarlyStop", "Resume"]
OUTLINED = ["CopyItemsd", "LesionInstancesd", "LesionOutlined"]
CALIBRATED = ["CalibrateProbabilityd", *OUTLINED]

OVERLAYS = [
    (
        "train train_gpu",
        {"train#dataset#batch_size": 512, "lr_scheduler#max_lr": 0.003, "lr_scheduler#epochs": 34, "val_interval": 34},
    ),
    ("train train_gpu", {"train#dataloader#num_workers": 14}),
    ("train fine_tune", {"train#trainer#max_epochs": 10, "optimizer#lr": 0.0003, "seed": 0}),
    (
        "train evaluate",
        {
            "image_transforms": [
                *(*LOADED, "CopyItemsd", "LesionLabeld"),
                *("BrainMaskd", "CloseMaskd", "DarkContrastd", "ConcatItemsd"),
            ],
            "validate#postprocessing": ["SplitDimd", "DeleteItemsd", "CopyItemsd", "MaskIntensityd", *CALIBRATED],
            "validate#evaluator#additional_metrics": dict.fromkeys(("overlap", "tpr", "fps_per_subject"), "ScanMetric"),
        },
    ),
    (
        "train",
        {"image_transforms": [*LOADED, "LesionLabeld", "BrainMaskd", "CloseMaskd", "DarkContrastd", "ConcatItemsd"]},
    ),
    (
        "inference paper",
        {
            "image_transforms": [
                *(*LOADED, "CopyItemsd", "LesionLabeld", "Orientationd", *CUT),
                *("FastRadialSymmetryd", "ConcatItemsd", "DeleteItemsd"),
            ],
            "postprocessing": [
                *("Invertd", "MaskIntensityd", "SplitDimd", "DeleteItemsd", "CopyItemsd", "CalibrateProbabilityd"),
                *(
                    "CopyItemsd",
                    "LesionInstancesd",
                    "LesionInstancesd",
                    "LesionFilterd",
                    "LesionOutlined",
                    "SusceptibilitySignd",
                ),
                *("Identity", "LesionBoxesd", "DeleteItemsd"),
            ],
            "settings#candidate_threshold": 0.2,
            "inferer": "CascadeInferer",
        },
    ),
    (
        "inference",
        {
            "postprocessing": [
                *("MaskIntensityd", "SplitDimd", "DeleteItemsd", "CopyItemsd", "CalibrateProbabilityd", "CopyItemsd"),
                *("LesionInstancesd", "LesionInstancesd", "LesionOutlined", "SusceptibilitySignd", "LesionFilterd"),
                *("LesionBoxesd", "DeleteItemsd"),
            ]
        },
    ),
    ("train train_paper train_student_no_kd", {"student#trainer#loss_function": "CrossEntropyLoss"}),
    (
        "train train_paper candidate_auc",
        {
            "teacher#handlers": ["HardNegativeReplay", *VALIDATED],
            "teacher#evaluator#key_val_metric": {"teacher_auc": "ROCAUC"},
            "teacher#stage#save_best": "SaveBest",
            "student#handlers": ["HardNegativeReplay", *VALIDATED],
            "student#evaluator#key_val_metric": {"auc": "ROCAUC"},
            "val_candidates": "CandidateBatches",
        },
    ),
    ("train train_paper bfloat16", {"train#inferer": "AutocastInferer"}),
    ("train train_paper cache_on_disk", {"train#dataset": "DiskCacheDataset", "validate#dataset": "DiskCacheDataset"}),
    (
        "train train_paper fine_tune_paper",
        {"student#optimizer#lr": 0.0001, "stages#steps": ["Stage", "CascadeCalibration"]},
    ),
    ("train train_paper evaluate_paper", {"validate#inferer": "CascadeInferer"}),
    ("train train_paper evaluate_paper evaluate_detector", {"validate#inferer": "SimpleInferer", "threshold": 0.2}),
    (
        "train train_paper evaluate_paper evaluate_teacher",
        {"validate#handlers": ["CheckpointLoader", "CheckpointLoader", "StatsHandler"]},
    ),
]
OF_CASCADE = [  # over train_paper.json, and over paper.json
    ("no_frst", {"image_transforms": ["LesionLabeld", "Orientationd", *CUT]}),
    (
        "inpaint_vessels",
        {
            "image_transforms": [
                *("LesionLabeld", "Orientationd", *CUT),
                *("VesselMaskd", "InpaintMaskd", "FastRadialSymmetryd", "ConcatItemsd", "DeleteItemsd"),
            ]
        },
    ),
    ("residual", {"network_def#discriminator": "ResidualPatchClassifier"}),
    ("residual_folds", {"network_def#discriminator": "MeanOfFolds", "threshold": 0.1}),
    ("five_block", {"network_def#discriminator": "FiveBlockCNN"}),
]
TESTED_BELOW = {"on_the_fly", "train_fold", "train_residual", "multi_gpu_train", "multi_gpu_paper"}
TESTED_BELOW |= {"train_sequence", "evaluate", "ensemble", "mask_rcnn", "train_mask_rcnn"}


def test_every_overlay_is_tested():
    overlays = {
        path.stem
        for path in ROOT.glob("*/configs/*.json")
        if "Overlay" in json.loads(path.read_text()).get("_desc_", "")
    }
    assert overlays == {name for names, _ in OVERLAYS + OF_CASCADE for name in names.split()} & overlays | TESTED_BELOW


@pytest.mark.parametrize(("names", "changed"), OVERLAYS)
def test_overlay_changes_these_objects(tmp_path, names, changed):
    parser = parsed(tmp_path, DETECTION, names)
    assert {name: shown(parser.get_parsed_content(name)) for name in changed} == changed


@pytest.mark.parametrize("base", ["train train_paper", "inference paper"])
@pytest.mark.parametrize(("name", "changed"), OF_CASCADE)
def test_overlay_of_the_cascade_fits_training_and_inference(tmp_path, base, name, changed):
    parser = parsed(tmp_path, DETECTION, f"{base} {name}")
    found = {key: shown(parser.get_parsed_content(key)) for key in changed}
    if "image_transforms" in found:
        start = found["image_transforms"].index("LesionLabeld")
        assert found["image_transforms"][:start] == [*LOADED, *["CopyItemsd"][: "inference" in base]]
        del found["image_transforms"][:start]
    assert found == changed


def test_what_inpainting_adds_is_deleted(tmp_path):
    last = parsed(tmp_path, DETECTION, "train train_paper inpaint_vessels").get_parsed_content("transforms#tidy")
    assert last.keys == ("frst", "vessels")


def test_copy_for_outlines_is_the_same_in_training_and_inference(tmp_path):
    train, inference = (parsed(tmp_path, DETECTION, name)["transforms#scan"] for name in ("train", "inference"))
    assert train == {**inference, "_disabled_": True, "_desc_": train["_desc_"]}


@pytest.mark.parametrize(
    ("names", "file", "network"),
    [
        ("train evaluate", "models/model.pt", "network"),
        ("train train_paper evaluate_paper", "models/paper/model.pt", "network"),
        ("train train_paper evaluate_paper evaluate_detector", "models/paper/detector.pt", "detector"),
    ],
)
def test_evaluation_loads_what_it_measures(tmp_path, names, file, network):
    parser = parsed(tmp_path, DETECTION, names)
    evaluator, handlers = (parser.get_parsed_content(f"validate#{name}") for name in ("evaluator", "handlers"))
    assert handlers[0].load_path == str(ROOT / DETECTION / file)
    assert handlers[0].load_dict["model"] is evaluator.network is parser.get_parsed_content(network)


@pytest.mark.parametrize(("names", "file"), [("inference", "model.pt"), ("inference paper", "paper/model.pt")])
def test_inference_loads_its_own_weights(tmp_path, names, file):
    [loader] = parsed(tmp_path, DETECTION, names).get_parsed_content("handlers")[:1]
    assert loader.load_path == str(ROOT / DETECTION / "models" / file)


def test_fine_tuning_starts_network_and_average_from_the_released_weights(tmp_path):
    parser = parsed(tmp_path, DETECTION, "train fine_tune")
    stage, average = parser.get_parsed_content("train#stage"), parser.get_parsed_content("average")
    weights = str(ROOT / DETECTION / "models" / "model.pt")
    assert [path for _, path in stage.builds_on] == [weights, weights]
    assert [network for network, _ in stage.builds_on] == [parser.get_parsed_content("network"), average.ema_model]
    assert parser.get_parsed_content("calibration").path == tmp_path / "model.pt"


def test_subjects_on_the_fly_are_simulated_by_every_reader_and_moved_on(tmp_path):
    parser = parsed(tmp_path, DETECTION, "train train_paper on_the_fly")
    readers = [parser.get_parsed_content(f"transforms#{name}#reader") for name in ("load", "mask", "label")]
    assert shown(readers) == ["SimulationReader"] * 3
    assert shown(parser.get_parsed_content("train#handlers")) == [*VALIDATED, "FreshSubjects"]


def test_residual_network_waits_for_the_loss_of_an_epoch(tmp_path):
    parser = parsed(tmp_path, DETECTION, "train train_paper train_student_no_kd residual train_residual")
    schedule = parser.get_parsed_content("student#handlers")[1].handlers[0]
    trainer = parser.get_parsed_content("student#trainer")
    assert type(schedule.lr_scheduler).__name__ == "ReduceLROnPlateau"
    trainer.state.metrics["loss"] = 0.25
    assert schedule.step_transform(trainer) == 0.25
    assert trainer.teacher is None


def test_fold_is_left_out_of_its_training(tmp_path):
    parser = parsed(tmp_path, DETECTION, "train train_paper train_student_no_kd train_fold", fold=1)
    learnt, held_out = (parser.get_parsed_content(name) for name in ("student#scans#data", "validate#dataset#data"))
    assert [item["fold"] for item in learnt] == [0, 2]
    assert [item["fold"] for item in held_out] == [1]


@pytest.mark.parametrize(
    ("names", "shared"),
    [("train multi_gpu_train", ["train"]), ("train train_paper multi_gpu_paper", ["train", "teacher", "student"])],
)
def test_processes_share_each_network_that_is_trained(tmp_path, names, shared):
    parser = parsed(tmp_path, DETECTION, names)
    assert shown(parser.get_parsed_content("device")) == torch.device("cpu")
    for part in shared:
        parser[f"{part}#trainer#network#_target_"] = "builtins.dict"  # sharing needs the other processes
        given = parser.get_parsed_content(f"{part}#trainer#network")
        trained = parser.get_parsed_content(f"{part}#handlers")[-1].handlers[-1].state["network"]
        assert given["network"] is trained


MASK_RCNN = {
    "network_def#cascade": "SliceMaskRCNN",
    "bag#cascade": "SliceInferer",
    "transforms#found": "Identityd",  # which finds nothing
}


@pytest.mark.parametrize(
    ("names", "changed"),
    [
        (
            "train evaluate",
            {
                "validate#preprocessing": [
                    *("ReadSubjectd", *LOADED, "LesionLabeld", "DetectLesionsd", "Orientationd", *CUT),
                    *("FastRadialSymmetryd", "ConcatItemsd", "DeleteItemsd"),
                    *("AppendLesionsd", "SliceBagd", "SelectItemsd", "RandFoundLesionsd", "RandDropInputsd"),
                ],
                "validate#handlers": ["CheckpointLoader", "PredictionWriter"],
            },
        ),
        ("train mask_rcnn", MASK_RCNN),
        ("inference mask_rcnn", MASK_RCNN),
        (
            "train mask_rcnn train_mask_rcnn",
            {"mask_rcnn#trainer": "DetectionTrainer", "mask_rcnn#evaluation#metric": "FROCMetric"},
        ),
    ],
)
def test_overlay_of_the_classification_changes_these_objects(tmp_path, names, changed):
    parser = parsed(tmp_path, CLASSIFICATION, names)
    assert {name: shown(parser.get_parsed_content(name)) for name in changed} == changed


def test_ensemble_averages_ten_trainings(tmp_path):
    settings = {"validate#evaluator#networks": ["@network"] * 10}  # no weights are here
    parser = parsed(tmp_path, CLASSIFICATION, "train evaluate ensemble", **settings)
    evaluator = parser.get_parsed_content("validate#evaluator")
    assert len(evaluator.networks) == 10
    assert shown(parser.get_parsed_content("validate#evaluator#postprocessing")) == [
        *("SubtypeProbabilityd", "FoldDisagreementd", "MeanEnsembled")
    ]
