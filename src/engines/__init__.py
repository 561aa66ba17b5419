"""Trainers and handlers on top of MONAI's."""

from .best import EarlyStop, SaveBest
from .calibration import CascadeCalibration, PatchCalibration
from .distillation import DistillationTrainer, HardNegativeReplay, epoch_loss, patch_odds, patch_output, teacher_batch
from .distributed import local_device, share, start, stop
from .handler_groups import EvaluatorHandlers, ScanMetric, TrainerHandlers
from .location_prior import LocationPrior
from .planted_patches import PlantedPatches, ReplayHardFoci, SeedSampler
from .resume import Resume
from .sequence import series_output
from .slice_detection import DetectionTrainer
from .stages import Stage, Stages, loss_of
from .subtype import CascadeWeights, CovariateStatistics, PredictionWriter, prepare_subjects
from .table_writer import TableWriter
from .temperature import Temperature
from .weights import HalfPrecision, join_folds, load_ensemble, load_network, load_weights, save_weights

__all__ = [
    "CascadeCalibration",
    "CascadeWeights",
    "CovariateStatistics",
    "DetectionTrainer",
    "DistillationTrainer",
    "EarlyStop",
    "EvaluatorHandlers",
    "HalfPrecision",
    "HardNegativeReplay",
    "LocationPrior",
    "PatchCalibration",
    "PlantedPatches",
    "PredictionWriter",
    "ReplayHardFoci",
    "Resume",
    "SaveBest",
    "ScanMetric",
    "SeedSampler",
    "Stage",
    "Stages",
    "TableWriter",
    "Temperature",
    "TrainerHandlers",
    "epoch_loss",
    "join_folds",
    "load_ensemble",
    "load_network",
    "load_weights",
    "local_device",
    "loss_of",
    "patch_odds",
    "patch_output",
    "prepare_subjects",
    "save_weights",
    "series_output",
    "share",
    "start",
    "stop",
    "teacher_batch",
]
