"""The programs that documents call, in the environment of the tests; with less of everything where LESS is set.

What they simulate is coarse, see :mod:`coarse`.

``git`` clones nothing, and ``make`` says what it would do: the tests run in what they would give.
"""

import os
import shutil
import sys
from pathlib import Path

import warm

ROOT = Path(__file__).parents[1]
MODULES = {"csvd": ["-m", "csvd.cli"], "python": [], "torchrun": ["-m", "torch.distributed.run"]}
COARSE = str(ROOT / "tests" / "coarse.py")
AT_MOST = {"--nproc_per_node": 2, "--subjects": 2, "--jobs": 1}
EPOCHS = {"--train#trainer#max_epochs": "1", "--val_interval": "1"}
PATCHES = {"--train#sampler#batches": "2", "--train#dataset#batch_size": "16"}
PAPER = {
    "--patch_size": "[24,24,8]",
    "--margin_size": "[30,30,10]",
    "--network_def#detector#features": "2",
    "--network_def#discriminator#features": "2",
    "--student#sampler#num_samples": "32",
}
SMALL = {
    "cmb_detection": PATCHES,
    "csvd_classification": {
        "--bag#size": "[24,32]",
        "--bag#max_slices": "4",
        "--network_def#classifier#stages": "1",
        "--network_def#classifier#features": "8",
    },
}
"""Settings of each bundle, by the folder that its commands run in, for what does not start from the shipped weights."""
PLACES = ("COHORT", "SCANS", "RESULTS", "TUNED")
"""What the documents call folders of the reader's; LESS, of the environment, is the folder that they are in."""


def shortened(words):
    """Return a command with fewer processes and subjects, the reader's folders, and settings of a quick training."""
    short = []
    for before, word in zip(["", *words], words, strict=False):
        word = str(min(AT_MOST[before], int(word))) if before in AT_MOST else word
        short.append(str(Path(os.environ["LESS"], word)) if word.split("/")[0] in PLACES else word)
    if "monai.bundle" not in words:
        return short
    paper = any("configs/train_paper.json" in word for word in words)
    settings = EPOCHS | (PAPER if paper else SMALL[Path.cwd().name])
    if not any("configs/train" in word for word in words):
        settings = {name: value for name, value in settings.items() if not name.startswith(("--train#", "--student#"))}
    return [*short, *(part for pair in settings.items() for part in pair)]


def clone(folder):
    """Make a folder with the programs of this environment, and nothing else."""
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)


def main(program, *words):
    """Become the program, or do what it would on a cluster with one machine."""
    less = "LESS" in os.environ
    if program == "scontrol":
        print("127.0.0.1")
    elif program == "git":
        clone(Path("csvd"))
    elif program == "make":
        make = shutil.which("make", path=os.environ["PATH"].partition(os.pathsep)[2])
        os.execv(make, ["make", "--dry-run", "--directory", ROOT, *words])
    elif program == "srun":
        main(*words)
    else:
        words = [*MODULES[program], *(shortened(words) if less else words)]
        words = words[1:] if words[0] == "-m" else words
        warm.main(words if program == "torchrun" else [COARSE, *words])


if __name__ == "__main__":
    main(*sys.argv[1:])
