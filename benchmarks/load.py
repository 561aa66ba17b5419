"""A large cohort of which scans are broken in twelve ways, and runs of two processes into one folder at once.

The scans are simulated, 32 x 36 x 28 voxels of 3 mm, and the network takes no time: what is measured is all the rest.
The first, the last and every so many scans between them are broken. Each must be a row with its reason, and each other
scan must have its one microbleed. Memory is what the processes do not share. Then two processes detect in the same
scans and write into one folder, each with a threshold of its own: whenever a result is looked at, it must be of one of
them alone.

    python benchmarks/load.py --scans 1000 --every 20 --jobs 2
    python benchmarks/load.py --runs 100
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from group_memory import memory_mb
from killed_commands import Command, become, left_in
from load_inputs import REASONS, name_of, ways_of, write_scans
from small_bundle import write_bundle

from csvd.io.tables import read_table

FORK = multiprocessing.get_context("fork")
MOST_S = 10.0
GROWTH = 1.1
"""Times the memory of the second quarter of a run that its last quarter may take."""
THRESHOLDS = ("0.5", "0.95")
"""Of the two processes; the microbleed has 0.9."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def csvd_in_fork(words: Sequence[str], log: Path) -> BaseProcess:
    """Start a command line in a fork of this process, which has loaded everything, in a group of its own."""

    def target() -> None:
        os.setsid()
        with log.open("ab") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        become(Command(()), [*words])

    process = FORK.Process(target=target)
    process.start()
    return process


def watched(process: BaseProcess, every_s: float = 0.5) -> list[float]:
    """Return the memory of a process and those that it starts, over time, until it ends."""
    found = []
    while process.exitcode is None:
        found.append(memory_mb(process.pid or 0, "Private"))
        process.join(every_s)
    return found


def cohort_faults(folder: Path, scans: int, every: int, code: int | None) -> Iterator[str]:
    """Yield what is wrong with the results of the cohort."""
    ways = ways_of(scans, every)
    if code != 1:
        yield f"exit code {code}: {(folder / 'log').read_text()[-500:]}"
    rows = {row["case"]: row for row in read_table(folder / "out" / "cohort.tsv")}
    for number in range(scans):
        way = ways.get(number)
        row = rows.pop(name_of(number, way), None)
        if row is None:
            yield f"scan {number} ({way}) has no row"
        elif way is None and (row["status"] != "ok" or row["n_lesions"] != "1"):
            yield f"scan {number}: {row}"
        elif way is not None and not (row["status"] == "failed" and re.search(REASONS[way], row["reason"])):
            yield f"scan {number} ({way}): {row}"
    yield from (f"row {name} is of no scan" for name in rows)
    lesions = read_table(folder / "out" / "lesions_all.tsv")
    if len(lesions) != scans - len(ways):
        yield f"{len(lesions)} lesions of {scans - len(ways)}"
    yield from (f"{name} stays" for name in left_in(folder))


def browser() -> str | None:
    """Return the program that opens the page, if one is installed."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def opening_s(out: Path) -> tuple[float, float]:
    """Return the seconds that tables and page take to open, and those that an empty page takes.

    The page is opened in Chromium where it is installed, and else read. Each is the shorter of two times: the first
    fills caches.
    """
    program = browser()
    (out.parent / "empty.html").write_text("<!DOCTYPE html><title>Empty</title>")

    def seconds(page: Path, tables: Sequence[Path] = ()) -> float:
        started = time.monotonic()
        for path in tables:
            read_table(path)
        if program is None:
            page.read_text(encoding="utf-8")
        else:
            options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000", "--dump-dom")
            subprocess.run([program, *options, f"file://{page}"], check=True, capture_output=True)
        return time.monotonic() - started

    tables = [out / "cohort.tsv", out / "lesions_all.tsv"]
    pages = ((out / "index.html", tables), (out.parent / "empty.html", []))
    full, empty = (min(seconds(*page) for _ in range(2)) for page in pages)
    return full, empty


def cohort(folder: Path, scans: int, every: int, jobs: int) -> int:
    """Detect in the cohort, print its row, and return how many faults there were."""
    write_scans(folder / "scans", scans, every)
    words = ["detect", str(folder / "scans"), "--bundle", str(folder / "bundle"), "--out", str(folder / "out")]
    started = time.monotonic()
    process = csvd_in_fork([*words, "--jobs", str(jobs)], folder / "log")
    memory = watched(process)
    seconds = time.monotonic() - started
    faults = [*cohort_faults(folder, scans, every, process.exitcode)]
    quarter = len(memory) // 4
    early, late = max(memory[quarter : 2 * quarter], default=0), max(memory[3 * quarter :], default=0)
    if quarter > 10 and late > GROWTH * early:
        faults.append(f"memory grows from {early:.0f} to {late:.0f} MB")
    opening, empty = opening_s(folder / "out")
    if opening > MOST_S:
        faults.append(f"tables and page take {opening:.1f} s to open")
    print(*faults, sep="\n", end="\n" if faults else "")
    how = "opened" if browser() else "without a browser, read"
    told = f"{scans} scans, {len(ways_of(scans, every))} broken, {scans / seconds:.1f} a second, {early:.0f} and "
    told += f"{late:.0f} MB in the second and last quarter, {how} in {opening:.1f} s, "
    told += f"an empty page in {empty:.1f} s"
    command = f"`python benchmarks/load.py --scans {scans} --every {every} --jobs {jobs}`"
    print(f"| load: {told} | {scans} | {len(faults)} | {seconds:.0f} | {command} |", flush=True)
    return len(faults)


def mixed(case: Path) -> Iterator[str]:
    """Yield what is wrong with a result, if it is there: its files must be of one run.

    They are read through the folder that was opened, which stays the same when another takes its name.
    """
    try:
        folder = os.open(case, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        name = case.name
        here = Path(f"/proc/self/fd/{folder}")
        record = json.loads((here / f"{name}.json").read_text())
        rows = read_table(here / f"{name}_lesions.tsv")
    except FileNotFoundError:
        return  # it was removed meanwhile
    finally:
        os.close(folder)
    wanted = 1 if record["threshold"] < 0.9 else 0
    if not len(rows) == record["counts"]["total"] == wanted:
        yield f"{case.name}: threshold {record['threshold']}, {len(rows)} rows, {record['counts']['total']} counted"


def together(folder: Path, runs: int) -> int:
    """Run two processes into one folder, print the row, and return how many runs failed.

    In turn, both take one scan, and both take all: of a cohort, one run alone may write the tables at a time.
    """
    write_scans(folder / "few", 4, 100)  # the first and the last are broken
    out, log, faults, started = folder / "one", folder / "log", list[str](), time.monotonic()
    scan = folder / "few" / f"{name_of(1, None)}.nii.gz"
    for turn in range(runs // 2):
        source = folder / "few" if turn % 2 else scan
        words = ["detect", str(source), "--bundle", str(folder / "bundle"), "--out", str(out), "--overwrite"]
        both = [csvd_in_fork([*words, "--threshold", value], log) for value in THRESHOLDS]
        while any(process.exitcode is None for process in both):
            faults += mixed(out / name_of(1, None))
            time.sleep(0.01)
        codes = sorted(process.exitcode or 0 for process in both)
        if codes not in ([[1, 1], [1, 2]] if turn % 2 else [[0, 0]]):
            faults.append(f"exit codes {codes}: {log.read_text()[-500:]}")
        if 2 in codes and "another run of csvd writes to" not in log.read_text():
            faults.append(f"exit code 2: {log.read_text()[-500:]}")
        if turn % 2:
            faults += _tables_mixed(out)
        faults += [f"{name} stays" for name in left_in(out)]
        log.unlink()
    print(*faults, sep="\n", end="\n" if faults else "")
    seconds, command = time.monotonic() - started, f"`python benchmarks/load.py --runs {runs}`"
    print(f"| two processes, one folder | {runs} | {len(faults)} | {seconds:.0f} | {command} |", flush=True)
    return len(faults)


def _tables_mixed(out: Path) -> Iterator[str]:
    rows = [row["n_lesions"] for row in read_table(out / "cohort.tsv") if row["status"] == "ok"]
    lesions = len(read_table(out / "lesions_all.tsv"))
    if (rows, lesions) not in ((["0", "0"], 0), (["1", "1"], 2)):
        yield f"cohort.tsv has {rows}, lesions_all.tsv {lesions}"


def main() -> None:
    """Print the rows; the exit code is 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=0)
    parser.add_argument("--every", type=int, default=20, help="one of so many scans is broken")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=0, help="into one folder, by two processes")
    arguments = parser.parse_args()
    folder, failed = Path(tempfile.mkdtemp(prefix="load-")), 0
    try:
        write_bundle(folder / "bundle")
        if arguments.scans:
            failed += cohort(folder, arguments.scans, arguments.every, arguments.jobs)
        if arguments.runs:
            failed += together(folder, arguments.runs)
    finally:
        shutil.rmtree(folder)
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
