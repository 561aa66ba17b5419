"""Scans per hour, peak memory and disk of ``csvd detect`` of a cohort with one process and with two, start included.

Simulated UK Biobank heads, 256 x 288 x 48 voxels; each of ``--heads`` subjects stands in the cohort under many names.
Memory is the peak of all processes together, shared pages counted once. The last table is a plan for a large study
from these figures: days on machines of so many cores, if all run as fast as this one.

    python benchmarks/throughput.py --scans 200
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from group_memory import memory_mb
from tqdm import tqdm

from csvd.io.tables import read_table

STUDY = 50_000
CORES = (2, 16, 64)
Run = tuple[float, float, float]
"""Seconds, peak memory in MB, and MB of results a scan."""


def write_scans(folder: Path, scans: int, heads: int) -> None:
    """Write scans of simulated subjects, each linked under many names."""
    from csvd.phantom import write_cohort

    write_cohort("ukbb", heads, folder.parent / "heads", seed=1)
    files = sorted((folder.parent / "heads").glob("sub-*/*_swi.nii.gz"))
    folder.mkdir()
    for number in range(scans):
        (folder / f"scan{number:04d}_swi.nii.gz").hardlink_to(files[number % len(files)])


def run(scans: Path, out: Path, jobs: int) -> Run:
    """Detect in a cohort and return what it took.

    Raises:
        RuntimeError: a scan failed.
    """
    command = [sys.executable, "-m", "csvd.cli", "detect", str(scans), "--out", str(out), "--jobs", str(jobs)]
    started, peak = time.monotonic(), 0.0
    log = out.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid, "Pss:"))
            time.sleep(0.5)
    seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed with {process.returncode}: {log.read_text()[-500:]}")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return seconds, peak, size / 1e6 / len(read_table(out / "cohort.tsv"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--heads", type=int, default=10)
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2])
    options = parser.parse_args()
    rows: dict[int, Run] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scans(folder / "scans", options.scans, options.heads)
        for jobs in tqdm(options.jobs, "runs", disable=None):
            rows[jobs] = run(folder / "scans", folder / f"out{jobs}", jobs)
    print_tables(options.scans, rows, len(os.sched_getaffinity(0)))


def print_tables(scans: int, rows: dict[int, Run], cores: int) -> None:
    """Print what a cohort took, by number of processes, and the plan for a large study from the fastest."""
    print(f"{scans} scans, {cores} cores\n")
    print("| `--jobs` | seconds | scans per hour | peak memory, MB | results per scan, MB |\n|---|---|---|---|---|")
    for jobs, (seconds, peak, size) in rows.items():
        print(f"| {jobs} | {seconds:.0f} | {3600 * scans / seconds:.0f} | {peak:.0f} | {size:.1f} |")
    seconds, peak, size = min(rows.values())
    core_hours = STUDY * seconds / scans * cores / 3600
    print(f"\n{STUDY} scans, {core_hours:.0f} core hours, {STUDY * size / 1000:.0f} GB of results:\n")
    print("| cores | days | memory, GB |\n|---|---|---|")
    for count in CORES:
        print(f"| {count} | {core_hours / count / 24:.1f} | {peak / 1024 * count / cores:.0f} |")


if __name__ == "__main__":
    main()
