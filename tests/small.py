"""Settings of networks that train, and of phantoms that are made, in seconds."""

from dataclasses import replace
from pathlib import Path

from csvd.experiments import QUICK, Size
from csvd.phantom import PROTOCOLS

DETECTION = Path(__file__).parents[1] / "bundles" / "cmb_detection"
CLASSIFIER = {
    "cascade_weights": str(DETECTION / "models" / "paper" / "model.pt"),
    "bag#size": [24, 32],
    "bag#max_slices": 4,
    "network_def#classifier#stages": 1,
    "network_def#classifier#features": 8,
}
EXPERIMENT = Size(
    training=2,
    validation=1,
    test=1,
    folds=3,
    settings={
        **QUICK["ablation"].settings,
        "train#trainer#max_epochs": 2,
        "val_interval": 2,
        "student#sampler#num_samples": 32,
        "network_def#detector#features": 2,
        "network_def#discriminator#features": 2,
        "candidate_threshold": 0.1,
    },
)
PROTOCOL = replace(
    PROTOCOLS["random"],
    voxel_mm=(4.0, 4.0, 6.0),
    matrix=(48, 56, 30),
    fine_mm=4.0,
    radius_mm=4.0,
    vary=PROTOCOLS["ukbb"].vary,
)
