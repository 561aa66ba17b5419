"""The detection bundle as its documents run it, and a training of the paper's cascade that takes seconds."""

import os
import signal
import subprocess
import time
from pathlib import Path

from warm import PROCESS_FILE, python_m

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
QUICK = (
    "--patch_size",
    "[24,24,8]",
    "--margin_size",
    "[30,30,10]",
    "--train#trainer#max_epochs",
    "2",
    "--network_def#detector#features",
    "2",
    "--network_def#discriminator#features",
    "2",
    "--val_interval",
    "1",
    "--student#sampler#num_samples",
    "32",
    "--candidate_threshold",
    "0.1",
)
PAPER = "['configs/train.json','configs/train_paper.json']"
EPOCHS = ("--train#trainer#max_epochs", "4")
"""Of the shared training."""


def bundle_run(*arguments, cwd):
    """Run ``python -m monai.bundle run`` as the documentation says, and return what it prints."""
    command = python_m("monai.bundle", "run", *arguments)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def arguments_of(folder, dataset_dir, *more, run="training"):
    """Return the arguments of a quick training that writes to ``folder``."""
    folders = ("--dataset_dir", str(dataset_dir), "--ckpt_dir", str(folder), "--output_dir", str(folder))
    return run, "--config_file", PAPER, *folders, *QUICK, *more


def train_in(folder, dataset_dir, *more, run="training"):
    """Run a quick training from the bundle's folder, as the documentation says, and return what it prints."""
    return bundle_run(*arguments_of(folder, dataset_dir, *more, run=run), cwd=BUNDLE)


def train(dataset_dir, folder):
    """Run the training that all tests share."""
    (folder / "output.txt").write_text(train_in(folder, dataset_dir, *EPOCHS))


def killed(folder, dataset_dir, *more, when):
    """Kill a quick training as soon as the file ``when`` appears in ``folder``; return whether it did."""
    number = folder.with_name(f"{when}.pid")
    command = python_m("monai.bundle", "run", *arguments_of(folder, dataset_dir, *more))
    environment = {**os.environ, PROCESS_FILE: str(number)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=BUNDLE, env=environment, **quiet) as process:
        deadline = time.monotonic() + 300
        while not (folder / when).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(int(number.read_text()), signal.SIGKILL)
    return (folder / when).exists()
