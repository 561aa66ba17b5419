"""Detection and classification by the shipped weights with one and two threads, and in another order of the scans.

The scans are simulated, 96 x 112 x 56 voxels of 2 x 2 x 3 mm. Every file of a scan must be the same, byte by byte.
With --avx2, the first scan is detected once more with the instructions of older processors: libraries then add up in
another order, the tables must stay the same, and the largest difference of a probability is printed.

    python benchmarks/determinism.py --scans 3 --avx2
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # coarse scans, numbers of threads

import nibabel as nib
import numpy as np
from coarse import coarse
from killed_commands import results_in
from threads import threads

from csvd.bundles import find_bundle
from csvd.phantom import PROTOCOLS, simulate_subject
from csvd.phantom.cohort import write_nifti
from csvd.workflows.detection import classify, detect

DETECTOR, CLASSIFIER = (find_bundle(name) for name in ("cmb_detection", "csvd_classification"))
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2,STRICT"}
"""Environment in which PyTorch, oneDNN and MKL do without AVX-512."""
COMMANDS: dict[str, Callable[..., Any]] = {
    "detect": partial(detect, bundle=DETECTOR),
    "classify": partial(classify, bundle=CLASSIFIER, gate_bundle=DETECTOR),
}


def write_scans(folder: Path, scans: int) -> list[dict[str, Any]]:
    """Write simulated scans, and return the items of a data list."""
    items = []
    for seed in range(scans):
        subject = simulate_subject(coarse(PROTOCOLS["ukbb"]), seed)
        path = folder / f"sub-{seed}_swi.nii.gz"
        write_nifti(subject.images["swi"].round().short(), subject.affine, path)
        items.append({"image": path.name, "age": 60 + seed, "sex": "FM"[seed % 2]})
    return items


def results(
    run: Callable[..., Any], folder: Path, items: Sequence[Any], number: int, jobs: int = 1
) -> dict[str, bytes]:
    """Return the files of each scan by name, after a run with that number of threads and processes."""
    (folder / "datalist.json").write_text(json.dumps({"test": [*items]}))
    with threads(number):
        rows = run(folder / "datalist.json", folder / "out", jobs=jobs)
    if any(row["status"] != "ok" for row in rows):
        raise RuntimeError(f"a scan failed: {rows}")
    found = {name: path.read_bytes() for name, path in results_in(folder / "out").items() if "/" in name}
    shutil.rmtree(folder / "out")
    return found


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> Iterator[str]:
    """Yield the names of files that are not the same."""
    yield from (name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name))


def detect_alone(folder: Path) -> None:
    """Detect in the first scan of the list, in a process that has been told what to use."""
    detect(folder / "datalist.json", folder / "out", DETECTOR)


def on_avx2(folder: Path, item: dict[str, Any]) -> int:
    """Print what differs with other instructions, and return how many tables do."""
    started, found = time.monotonic(), []
    (folder / "datalist.json").write_text(json.dumps({"test": [item]}))
    for more in ({}, AVX2):
        words = [
            sys.executable,
            "-c",
            f"import determinism, pathlib as p; determinism.detect_alone(p.Path('{folder}'))",
        ]
        subprocess.run(words, cwd=Path(__file__).parent, env={**os.environ, **more}, check=True, capture_output=True)
        files = results_in(folder / "out")
        [path] = [path for name, path in files.items() if name.endswith("_prob.nii.gz")]
        probability = np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
        found.append(({name: files[name].read_bytes() for name in files if name.endswith(".tsv")}, probability))
        shutil.rmtree(folder / "out")
    (tables, one), (others, other) = found
    failed = len([*differing(tables, others)])
    row = f"detect: AVX-512 and AVX2, probabilities within {np.abs(one - other).max():.0e} | {len(tables)} tables"
    print(f"| {row} | {failed} | {time.monotonic() - started:.0f} | `python benchmarks/determinism.py --avx2` |")
    return failed


def main() -> None:
    """Print a row a comparison; the exit code is 1 where a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument("--commands", nargs="+", default=[*COMMANDS], choices=[*COMMANDS])
    parser.add_argument("--avx2", action="store_true")
    arguments = parser.parse_args()
    scans = arguments.scans
    folder, failed = Path(tempfile.mkdtemp(prefix="determinism-")), 0
    try:
        items = write_scans(folder, scans)
        for name in arguments.commands:
            run = COMMANDS[name]
            expected = results(run, folder, items, 1)
            ways = {"1 and 2 threads": (items, 2, 1)}
            if scans > 1:
                ways |= {"two orders of the scans": (items[::-1], 1, 1), "1 and 2 processes": (items, 2, 2)}
            for way, how in ways.items():
                started = time.monotonic()
                files = [*differing(expected, results(run, folder, *how))]
                print(*(f"{name}, {way}: {file} differs" for file in files), sep="\n", end="\n" if files else "")
                row = f"| {name}: {way} | {len(expected)} files | {len(files)} | {time.monotonic() - started:.0f} |"
                print(f"{row} `python benchmarks/determinism.py --scans {scans}` |", flush=True)
                failed += len(files)
        if arguments.avx2:
            failed += on_avx2(folder, items[0])
    finally:
        shutil.rmtree(folder)
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
