"""How the paper's cascade holds on families of scans that it never saw, and over seeds, at a size of one's own.

The same as ``csvd experiment leave-out`` and ``seeds``, which are either minutes or days on two cores.
"""

import argparse
from pathlib import Path

from csvd.bundles import find_bundle
from csvd.experiments import Study, leave_out, seeds
from csvd.experiments.sizes import Size

EXPERIMENTS = {"leave-out": leave_out, "seeds": seeds}


def main() -> None:
    """Print the table, which is in the folder, with its curves, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    for section in ("training", "validation", "test"):
        parser.add_argument(f"--{section}", type=int, required=True, help="subjects")
    parser.add_argument("--detector-epochs", type=int, required=True)
    parser.add_argument("--student-epochs", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True, help="candidates an epoch of the student")
    parser.add_argument("--candidate-threshold", type=float, default=0.2, help="of the detector; a high one is faster")
    parser.add_argument("--out", type=Path, required=True, help="folder; what is there is not done again")
    arguments = parser.parse_args()
    settings = {
        "train#trainer#max_epochs": arguments.detector_epochs,
        "student#trainer#max_epochs": arguments.student_epochs,
        "student#sampler#num_samples": arguments.samples,
        "candidate_threshold": arguments.candidate_threshold,
        "train#inferer": {"_target_": "csvd.inferers.AutocastInferer"},  # as configs/bfloat16.json
        "val_interval": 10**6,  # the last weights are taken; thresholds are chosen afterwards
        "patch_size": [24, 24, 12],  # half the time of the bundle's 32 x 32 x 12
        "margin_size": [50, 50, 20],
        "student#dataset#patch_size": [30, 30, 14],
    }
    size = Size(arguments.training, arguments.validation, arguments.test, folds=0, settings=settings)
    study = Study(arguments.out, find_bundle("cmb_detection"), size.settings)
    print((EXPERIMENTS[arguments.experiment](study, size) / f"{arguments.experiment}.md").read_text())


if __name__ == "__main__":
    main()
