"""Seconds and peak memory of each step of ``csvd detect``, for scans of five shapes, on one thread and on two.

A simulated UK Biobank head is resampled to each shape. Each row of the tables is a step without the steps inside it:
the median of ``--repeats`` runs after a first one, in a process of its own for each shape and number of threads. The
last rows are the whole scan, the first scan of a process (run once), and the whole ``csvd detect`` of one file, start
included (median of ``--repeats`` runs).

    python benchmarks/speed.py --out speed.json
    python benchmarks/speed.py --compare before.json after.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import nibabel as nib
import numpy as np

SHAPES = {  # voxels and mm of a voxel
    "256x288x48": ((256, 288, 48), (0.8, 0.8, 3.0)),
    "512x512x35": ((512, 512, 35), (0.45, 0.45, 4.0)),
    "512x512x150": ((512, 512, 150), (0.45, 0.45, 1.0)),
    "176x224x256": ((176, 224, 256), (0.8, 0.8, 0.8)),
    "96x96x24": ((96, 96, 24), (0.8, 0.8, 3.0)),
}
STEPS = {
    "csvd.workflows.runner:check_scan": "checks",
    "csvd.workflows.gate:SequenceGate.__call__": "sequence gate",
    "csvd.workflows.single_run:SingleRun.make": "config",
    "monai.transforms:LoadImaged.__call__": "reading",
    "csvd.transforms:BrainMaskd.__call__": "brain mask",
    "csvd.transforms:CloseMaskd.__call__": "brain mask, closed",
    "csvd.transforms:DarkContrastd.__call__": "contrast",
    "csvd.inferers.patch_detector:find_foci": "candidates",
    "csvd.inferers.patch_detector:fine_grid": "patches",
    "csvd.inferers.patch_detector:context_patches": "patches",
    "csvd.networks:PatchEnsemble.quick_odds": "network",
    "csvd.networks:PatchEnsemble.odds": "network, mirrored",
    "csvd.transforms:LesionInstancesd.__call__": "instances",
    "csvd.transforms:LesionOutlined.__call__": "outlines",
    "csvd.handlers.case_writer:align_to_mni": "registration",
    "csvd.handlers.case_writer:lesion_table": "lesion table",
    "csvd.handlers.case_writer:save_map": "maps",
    "csvd.handlers.case_writer:make_scene": "page",
    "csvd.handlers.case_writer:write_page": "page",
}
REST, SCAN, FIRST, PROCESS = "other", "**whole scan**", "first scan of a process", "`csvd detect`, start included"
Steps = dict[str, dict[str, float]]


class Clock:
    """Seconds and peak memory of named steps, each without the steps that run inside it."""

    def __init__(self) -> None:
        self.steps: Steps = {}
        self._open: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time and memory of a block to a step."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            step = self.steps.setdefault(self._open[-1], {"seconds": 0.0, "megabytes": 0.0})
            step["seconds"] += now - self._since
            step["megabytes"] = max(step["megabytes"], peak_megabytes())
        forget_peak()
        self._since = time.perf_counter()

    def timed(self, name: str, function: Callable) -> Callable:
        """Return a function that does the same and is a step."""

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.step(name):
                return function(*args, **kwargs)

        return run


def peak_megabytes(process: int | str = "self") -> float:
    """Return the peak of the memory of a process, of this one since :func:`forget_peak`."""
    [line] = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Begin the peak of the memory anew; Linux only."""
    Path("/proc/self/clear_refs").write_text("5")


def head_of(shape: str, source: Path, path: Path) -> None:
    """Write a scan of a shape: a head resampled about its middle, with its noise put back."""
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    scan = nib.load(source)
    size, voxel_mm = SHAPES[shape]
    middle = scan.affine @ [*((np.array(scan.shape) - 1) / 2), 1]
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.array(size) - 1) / 2)
    image = MetaTensor(scan.get_fdata(dtype=np.float32)[None], affine=scan.affine)
    turned = SpatialResample(mode="bilinear", padding_mode="zeros")(image, dst_affine=affine, spatial_size=size)
    values = turned[0].numpy()
    values += np.random.default_rng(0).normal(0, 0.02 * values.max(), size) * (values > 0)
    nib.save(nib.Nifti1Image(values.clip(0).round().astype(np.int16), affine), path)


def measure(scan: Path, threads: int, repeats: int) -> Steps:
    """Return the steps of one scan, and the whole of it, in this process."""
    import torch

    from csvd.bundles import find_bundle
    from csvd.io import Case
    from csvd.workflows.runner import BundleRunner

    torch.set_num_threads(threads)
    bundle, case = find_bundle("cmb_detection"), Case("scan", scan)
    runs: list[Steps] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:
        runner = BundleRunner(bundle, {"output_dir": folder, "overwrite": True}, gate_bundle=bundle)
        started = time.perf_counter()
        runner(case)
        first = {"seconds": time.perf_counter() - started, "megabytes": peak_megabytes()}
        clock = Clock()
        for where, name in STEPS.items():
            owner, attribute = find(where)
            patches.enter_context(patch.object(owner, attribute, clock.timed(name, getattr(owner, attribute))))
        for _ in range(repeats):
            clock.steps = {}
            with clock.step(REST):
                runner(case)
            whole = {
                "seconds": sum(step["seconds"] for step in clock.steps.values()),
                "megabytes": max(step["megabytes"] for step in clock.steps.values()),
            }
            runs.append({**clock.steps, SCAN: whole})
    names = dict.fromkeys([*STEPS.values(), REST, SCAN])
    return {**{name: typical([run.get(name, {}) for run in runs]) for name in names}, FIRST: first}


def typical(steps: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of seconds and memory of one step in several runs, 0 in a run without it."""
    return {key: median(step.get(key, 0.0) for step in steps) for key in ("seconds", "megabytes")}


def _value(run: Steps, name: str, key: str) -> float:
    return run.get(name, {}).get(key, 0.0)


def find(where: str) -> tuple[Any, str]:
    """Return the owner of a function ("module:name" or "module:Class.name"), and its name there."""
    module, names = where.split(":")
    *owners, attribute = names.split(".")
    owner = import_module(module)
    for name in owners:
        owner = getattr(owner, name)
    return owner, attribute


def measure_process(scan: Path, threads: int) -> dict[str, float]:
    """Return seconds and peak memory of ``csvd detect`` of one file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "csvd.cli", "detect", str(scan), "--out", f"{folder}/out"]
        started, peak = time.perf_counter(), 0.0
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None:  # the peak that wait4() knows may be that of the process that started it
            with suppress(OSError, ValueError):
                peak = peak_megabytes(process.pid)
            time.sleep(0.02)
        if process.returncode:
            raise RuntimeError(f"`{' '.join(command)}` failed with {process.returncode}.")
        return {"seconds": time.perf_counter() - started, "megabytes": peak}


def print_table(title: str, columns: Mapping[str, Steps]) -> None:
    """Print seconds, share of the scan and peak memory; a row a step, a column a shape."""
    print(f"\n{title}\n\n| step | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in dict.fromkeys([*STEPS.values(), REST, SCAN, FIRST, PROCESS]):
        cells = []
        for steps in columns.values():
            step = steps.get(name, {"seconds": 0.0, "megabytes": 0.0})
            part = f" ({step['seconds'] / steps[SCAN]['seconds']:.0%})" if name in (*STEPS.values(), REST) else ""
            cells.append(f"{step['seconds']:.2f} s{part}, {step['megabytes']:.0f} MB" if step["megabytes"] else "")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def compare(before: Path, after: Path) -> None:
    """Print the ratio of the seconds of each step of two runs."""
    old, new = (json.loads(path.read_text()) for path in (before, after))
    columns = [kind for kind in old if kind in new]
    print(f"seconds, {before} to {after}\n\n| step | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name in dict.fromkeys([*STEPS.values(), REST, SCAN, FIRST, PROCESS]):
        pairs = [(_value(old[kind], name, "seconds"), _value(new[kind], name, "seconds")) for kind in columns]
        cells = [f"{a:.2f} to {b:.2f} (x {b / a:.2f})" if a and b else "" for a, b in pairs]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Measure and print, or compare two measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[*SHAPES])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--one", nargs=2, metavar=("SCAN", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        compare(*options.compare)
        return
    if options.one:
        print(json.dumps(measure(Path(options.one[0]), int(options.one[1]), options.repeats)))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        from csvd.phantom import write_cohort

        write_cohort("ukbb", 1, Path(folder) / "head", seed=1, phenotype="CADASIL")
        [source] = Path(folder, "head").glob("sub-*/*_swi.nii.gz")
        for threads in options.threads:
            columns = {}
            for shape in options.shapes:
                scan = Path(folder, f"{shape}_swi.nii.gz")
                if not scan.exists():
                    head_of(shape, source, scan)
                again = [sys.executable, __file__, "--repeats", str(options.repeats)]
                one = subprocess.run(
                    [*again, "--one", str(scan), str(threads)],
                    env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                ).stdout
                columns[shape] = json.loads(one.splitlines()[-1])
                processes = [measure_process(scan, threads) for _ in range(options.repeats)]
                columns[shape][PROCESS] = typical(processes)
                results[f"{shape}, {threads} thread{'s' * (threads > 1)}"] = columns[shape]
            print_table(f"{threads} thread{'s' * (threads > 1)}", columns)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
