"""What labelled scans of a scanner bring: ``run calibrate`` and ``run fine_tuning`` on a few of them, a row each.

Microbleeds are planted into heads of one scanner that no training saw, as many scans as a row says, and with other
seeds into other heads of it, which test. Half of the scans train and half validate; ``calibrate`` takes all to
validate. Rates are those of ``benchmarks/planted.py``, at the threshold that was chosen on the validation scans.

With ``--leave-one-out ROOT``, real scans in the layout of VALDO: in turn each is tested after fine-tuning on all
others, and the weights are thrown away. Rates are those of ``benchmarks/valdo.py``.

    python benchmarks/learning_curve.py --heads L01/*.nii.gz --test-heads L19/*.nii.gz --out learning_curve
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import valdo
from planted_scans import plant, rate_columns, score
from scored import add_detector, run_detector, table
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.io import load_datalist
from csvd.metrics import count_lesions

SIZES = (0, 2, 5, 10, 20)
STEPS = ("calibrate", "fine_tuning")
SPLIT = {"calibrate": lambda items: (items, items), "fine_tuning": lambda items: (items[::2], items[1::2])}
"""Items that train, and those that validate."""


def learn(
    arguments: argparse.Namespace, step: str, training: Sequence[dict], validation: Sequence[dict], weights: Path
) -> dict[str, Any]:
    """Run a step of the training bundle into a folder of weights; return the settings that detect with them."""
    bundle = (arguments.bundle or find_bundle("cmb_detection")).resolve()
    weights.mkdir(parents=True, exist_ok=True)
    (weights / "datalist.json").write_text(json.dumps({"training": [*training], "validation": [*validation]}))
    configs = [str(bundle / "configs" / f"{name}.json") for name in ("train", "fine_tune")]
    if step == "calibrate":
        shutil.copy(bundle / "models" / "model.pt", weights)
    folders = {"bundle_root": bundle, "dataset_dir": weights, "ckpt_dir": weights, "output_dir": weights}
    how: dict[str, Any] = {**folders, "train#trainer#max_epochs": arguments.epochs}
    how |= {"train#sampler#batches": arguments.batches, "val_interval": arguments.epochs}
    how |= dict(pair.split("=", 1) for pair in arguments.set)
    command = [sys.executable, "-m", "monai.bundle", "run", step, "--config_file"]
    command.append(configs[0] if step == "calibrate" else str(configs))
    command += [word for name, value in how.items() for word in (f"--{name}", str(value))]
    with (weights / f"{step}.log").open("w") as log:
        if subprocess.run(command, stdout=log, stderr=log).returncode:
            raise SystemExit(f"`run {step}` failed:\n{(weights / f'{step}.log').read_text()[-3000:]}")
    return {
        "handlers#0#load_path": str(weights / "model.pt"),
        "operating_points": str(weights / "operating_points.json"),
    }


def taken_in_turn(cohort: Path, each: int) -> list[dict]:
    """Return the items of a planted cohort so that heads follow each other, not the copies of one."""
    items = load_datalist(cohort, "test")
    return [item for copy in range(each) for item in items[copy::each]]


def rates_of(arguments: argparse.Namespace, cohort: Path, results: Path, settings: dict[str, Any]) -> list[str]:
    """Return the rates on the test scans with given weights: columns from TPR on."""
    rows = run_detector(arguments, cohort, results, any_sequence=True, settings=settings)
    pairs = zip(load_datalist(cohort, "test"), rows, strict=True)
    return rate_columns([score(item, results / row["case"], arguments.cnr) for item, row in pairs])


def curve_rows(arguments: argparse.Namespace) -> Iterator[list[object]]:
    """Yield a row a size and step."""
    out, seed = arguments.out, arguments.seed
    most, how = max(arguments.sizes), (arguments.lesions, arguments.mimics)
    each = -(-most // len(arguments.heads))
    items = taken_in_turn(plant(arguments.heads, out / "cohort", each, seed, *how), each) if most else []
    test = plant(arguments.test_heads, out / "test", arguments.each_test, seed + 1, *how)
    for size in arguments.sizes:
        for step in arguments.steps if size else ("as shipped",):
            name = f"{size}_{step}".replace(" ", "_")
            split = () if not size else SPLIT[step](items[:size])
            settings = learn(arguments, step, *split, out / "weights" / name) if size else {}
            yield [size, step, *rates_of(arguments, test, out / "results" / name, settings)]


def leave_one_out(arguments: argparse.Namespace) -> dict[str, list[valdo.Scored]]:
    """Return each scan of a folder in VALDO's layout, scored as shipped and after each step on all others."""
    items = valdo.find_scans(arguments.leave_one_out)
    if len(items) < 3:
        raise SystemExit(
            f"'{arguments.leave_one_out}' holds {len(items)} scans: one to test, two to learn from are needed."
        )
    items.sort(key=_lesions, reverse=True)
    scored: dict[str, list[valdo.Scored]] = {}
    for number, item in enumerate(tqdm(items, disable=None)):
        others = items[:number] + items[number + 1 :]
        validation = others[1::3]
        training = [other for other in others if other not in validation]
        with tempfile.TemporaryDirectory(dir=arguments.out) as folder:
            for step in ("as shipped", *arguments.steps):
                split = (training, others if step == "calibrate" else validation)
                settings = learn(arguments, step, *split, Path(folder) / step) if step in STEPS else {}
                listed = valdo.write_list([item], Path(folder) / "datalist.json")
                [row] = run_detector(arguments, listed, Path(folder) / "results", settings=settings)
                scored.setdefault(step, []).append(valdo.score(item, Path(folder) / "results" / row["case"]))
    return scored


def _lesions(item: dict[str, Any]) -> int:
    """Return how many lesions a scan has, so that both parts of the training get some."""
    truth = valdo.read_truth(item)
    return int(count_lesions(truth, truth, (0.5,))[0, 0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=Path, nargs="+", default=[], help="NIfTI files to plant into, to learn from")
    parser.add_argument("--test-heads", type=Path, nargs="+", default=[], help="others of the same scanner")
    parser.add_argument(
        "--leave-one-out", type=Path, help="folder of real scans in the layout of VALDO, in place of heads"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of cohorts, weights and results")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="scans to learn from")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--each-test", type=int, default=6, help="times that each test head is planted into")
    parser.add_argument("--epochs", type=int, default=5, help="of fine-tuning")
    parser.add_argument("--batches", type=int, default=100, help="of an epoch")
    parser.add_argument("--set", nargs="*", default=(), metavar="ID=VALUE", help="further values of train.json")
    parser.add_argument("--seed", type=int, default=7101)
    parser.add_argument("--lesions", type=int, default=12, help="of each scan")
    parser.add_argument("--mimics", type=int, default=6, help="of each scan")
    parser.add_argument("--cnr", type=float, default=4, help="least contrast to noise of lesions that count")
    add_detector(parser)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.leave_one_out:
        for step, scans in leave_one_out(arguments).items():
            print(f"{step}:\n\n{valdo.table_of(scans)}")
        return
    if not (arguments.heads and arguments.test_heads):
        parser.error("--heads and --test-heads are needed, or --leave-one-out.")
    columns = ("scans", "what", "TPR", "FPs per scan", "F1", "TPR at <= 1 FP per scan")
    print(table(columns, list(curve_rows(arguments))))


if __name__ == "__main__":
    main()
