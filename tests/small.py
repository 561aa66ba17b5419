"""Settings of networks that train in seconds."""

from pathlib import Path

DETECTION = Path(__file__).parents[1] / "bundles" / "cmb_detection"
CLASSIFIER = {
    "cascade_weights": str(DETECTION / "models" / "model.pt"),
    "bag#size": [24, 32],
    "bag#max_slices": 4,
    "network_def#classifier#stages": 1,
    "network_def#classifier#features": 8,
}
