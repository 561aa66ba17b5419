"""Trains the five-block network with the 64 features of VGG-16 on the candidates of the transfer study.

How many candidates does the network classify correctly if it is as wide as in its report, and learns from more of them
than in the comparison of discriminators? Batches are half microbleeds. A fifth of the development subjects gives the
epoch. The patches of the study have 24 voxels a side; the network needs 32, so that their borders are repeated. Rates
are at a probability of 0.5, intervals a bootstrap over subjects. A training that was stopped goes on.

    csvd experiment transfer --out transfer
    python benchmarks/wide_five_block.py --transfer transfer --out wide
"""

import argparse
from dataclasses import replace
from pathlib import Path

from scipy.special import expit
from scored import table
from torch.nn.functional import pad

from csvd.bundles import find_bundle
from csvd.experiments import FULL, QUICK
from csvd.experiments.candidates import CandidateTable, joined
from csvd.experiments.discriminators import patch_rates
from csvd.experiments.patch_training import candidate_odds, train_on_candidates
from csvd.experiments.study import Study, Variant
from csvd.experiments.transfer import Transfer

SIDE, FOLDS = 32, 5
SETTINGS = {"seed": 0, "patch_size": [SIDE, SIDE, 8], "network_def#discriminator#features": 64}


def grown(found: CandidateTable) -> CandidateTable:
    """Return candidates whose patches have the size that the network needs, their borders repeated."""
    rest = SIDE - found.patches.shape[2]
    sides = (0, 0, rest // 2, rest - rest // 2, rest // 2, rest - rest // 2)
    return replace(found, patches=pad(found.patches, sides, mode="replicate"))


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfer", type=Path, required=True, help="folder of csvd experiment transfer")
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="the study is of csvd experiment transfer --quick")
    arguments = parser.parse_args()
    size = (QUICK if arguments.quick else FULL)["transfer"]
    study = Study(arguments.transfer, find_bundle("cmb_detection"), size.settings)
    work = Transfer(study, size)
    development, tests = (
        {name: grown(found) for name, found in tables.items()} for tables in (work.development, work.tested)
    )
    training, validation = (
        joined([one.of((one.subjects % FOLDS == 0) == held_out) for one in development.values()])
        for held_out in (False, True)
    )
    settings = {**size.settings, **SETTINGS, "epochs": arguments.epochs, "patience": 8}
    configs = study.parser(
        work.detector, work.detector, Variant("five", ("train_student_no_kd", "five_block"), settings)
    )
    weights = arguments.out / "wide_five_block.pt"
    said = train_on_candidates(configs, training, validation, weights, lesion_share=0.5)
    rows = []
    for name, found in tests.items():
        rates = patch_rates(found, expit(candidate_odds(configs, found, weights)))
        rows.append([name, int(found.labels.sum()), int((found.labels == 0).sum()), *rates.values()])
    print(table(("test", "microbleeds", "other candidates", *rates), rows))
    print(
        f"\n{len(training.labels)} candidates of the training, {int(training.labels.sum())} of them microbleeds; "
        f"best of {said['epochs']} epochs: {said['best epoch']}, with an AUC of {said['AUC']:.4f} of the validation."
    )


if __name__ == "__main__":
    main()
