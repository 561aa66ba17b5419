"""How large an experiment is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Size:
    """Subjects, folds, and values for all configs, by config id; without validation subjects, folds give them."""

    training: int
    validation: int
    test: int
    folds: int
    settings: Mapping[str, Any] = field(default_factory=dict)


_FOUND_FAST = {  # the microbleeds that the cascade finds, the longest part by far, at half the time
    "bag#cascade": {
        "_target_": "csvd.inferers.AutocastInferer",
        "inferer": {
            "_target_": "csvd.inferers.CascadeInferer",
            "threshold": "@candidate_threshold",
            "patch_size": "@patch_size",
        },
    }
}
_FULL = Size(
    training=60, validation=12, test=24, folds=5, settings={"train#trainer#max_epochs": 60, "val_interval": 20}
)
_CANDIDATES = {  # of the study of Chen et al.: a hundred candidates a scan, as there
    "candidate_threshold": 0.5,
    "patch_size": [24, 24, 8],
    "student#dataset#patch_size": [30, 30, 10],
    "student#optimizer#lr": 1e-3,  # ten times theirs: as good after a tenth of the time
    "student#sampler#num_samples": 2400,
    "patience": 4,
}
FULL = {
    **dict.fromkeys(("ablation", "crossval", "generalize", "components", "leave-out", "seeds"), _FULL),
    "transfer": Size(training=40, validation=0, test=20, folds=5, settings={**_CANDIDATES, "epochs": 16}),
    "federated": Size(
        training=16, validation=16, test=0, folds=0, settings={"epochs": 15, "train#sampler#batches": 80}
    ),
    "distillation": Size(
        training=24,
        validation=16,
        test=48,
        folds=0,
        settings={
            "candidate_threshold": 0.42,
            "train#trainer#max_epochs": 16,
            "student#sampler#num_samples": 1280,
            "train#inferer": {"_target_": "csvd.inferers.AutocastInferer"},
        },
    ),
    "csvd-crossval": Size(training=336, validation=0, test=60, folds=10, settings={"found_lesions": 0}),
    "subtypes": Size(training=240, validation=45, test=90, folds=0, settings=_FOUND_FAST),
    "sequences": Size(training=42, validation=10, test=75, folds=0, settings={"epochs": 45, "batch_size": 8}),
}
"""From an hour to days on two cores, by experiment; ``docs/experiments.md`` has the times that were measured."""

_QUICK = Size(
    training=10,
    validation=3,
    test=4,
    folds=3,
    settings={
        "train#trainer#max_epochs": 80,
        "val_interval": 10**6,  # the last weights are taken; thresholds are chosen afterwards
        "patch_size": [24, 24, 8],
        "margin_size": [40, 40, 14],
        "student#dataset#patch_size": [30, 30, 10],
        "student#sampler#num_samples": 96,
    },
)
_SHORT = {**_QUICK.settings, "teacher#trainer#max_epochs": 40, "student#trainer#max_epochs": 40}

QUICK = {
    "ablation": _QUICK,
    "generalize": _QUICK,
    "crossval": replace(
        _QUICK,
        training=3,
        validation=3,
        test=3,
        settings={
            **_SHORT,
            "train#trainer#max_epochs": 120,
            "network_def#detector#features": 4,
            "network_def#discriminator#features": 8,
        },
    ),
    "csvd-crossval": Size(
        training=60, validation=0, test=30, folds=10, settings={"train#trainer#max_epochs": 24, "found_lesions": 0}
    ),
    "subtypes": Size(
        training=12, validation=6, test=18, folds=0, settings={**_FOUND_FAST, "train#trainer#max_epochs": 8}
    ),
    "federated": Size(training=3, validation=3, test=0, folds=0, settings={"epochs": 6, "train#sampler#batches": 10}),
    "transfer": Size(
        training=6,
        validation=0,
        test=3,
        folds=2,
        settings={**_CANDIDATES, "epochs": 8, "patience": 3, "student#sampler#num_samples": 480},
    ),
    **dict.fromkeys(("leave-out", "seeds"), replace(_QUICK, training=8, settings=_SHORT)),
    "components": replace(_QUICK, training=6, validation=3, test=6, settings=_SHORT),
    "distillation": replace(
        _QUICK,
        training=8,
        validation=4,
        test=6,
        settings={
            **_QUICK.settings,
            "train#trainer#max_epochs": 8,
            "student#sampler#num_samples": 480,
            "candidate_threshold": 0.6,
            "train#inferer": {"_target_": "csvd.inferers.AutocastInferer"},
        },
    ),
    "sequences": Size(
        training=12,
        validation=4,
        test=12,
        folds=0,
        settings={"epochs": 40, "pixels": 64, "batch_size": 4, "val_interval": 4},
    ),
}
"""Minutes on two cores, by experiment; shows that everything runs, not how good it is."""
