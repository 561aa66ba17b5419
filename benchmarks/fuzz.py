"""Damaged inputs of every format through the command line: each must end with a right result or one clear line.

Scans, DICOM files, tables, lists, markups, label maps and bundles are changed at random, the same for the same seed,
and given to ``csvd detect``, ``classify`` and ``datalist`` with a network that takes no time. An input fails when it
takes longer than LIMIT_S or more than LIMIT_BYTES of memory, ends by a signal or a traceback, with an error that nobody
foresaw, or leaves something half written or outside ``--out``.

    python benchmarks/fuzz.py --inputs 2000 --seed 0
    python benchmarks/fuzz.py --seed 0 --only 1234 --keep FOLDER     # one of them again, to look at
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # good inputs, and the small bundle

import nibabel as nib
import numpy as np
import torch
from fuzz_inputs import KINDS, damage, make_templates

from csvd.cli import main as csvd
from csvd.workflows import detection, gate, runner  # noqa: F401  # loaded once, before the processes are forked

LIMIT_S = 60.0
LIMIT_BYTES = 2**30
"""Beyond what a process has that has loaded everything."""
LONGEST_LINE = 1100
RESULTS = ("_cmb.nii.gz", "_prob.nii.gz", "_lesions.tsv", "_candidates.tsv", "_lesions.mrk.json", ".html", ".json")
WRITING = {"os.mkdir": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.symlink": 1, "os.link": 1}
"""Events of :func:`sys.addaudithook` that change a disk, and which of their arguments is what they make."""

_written: list[str] = []


def note_writing(event: str, arguments: tuple) -> None:
    """Keep the paths that this process makes, changes or removes."""
    if event == "open":
        path, mode, flags = arguments
        writes = any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and isinstance(path, str | bytes):
            _written.append(os.path.abspath(os.fsdecode(path)))
    elif event in ("os.remove", "os.rmdir") and arguments[1] != -1:
        pass  # inside a tree that is removed, whose root comes last
    elif event in WRITING and isinstance(arguments[WRITING[event]], str | bytes):
        _written.append(os.path.abspath(os.fsdecode(arguments[WRITING[event]])))


def work(connection: Connection, good: Path, seed: int) -> None:
    """Try the inputs whose numbers and folders come in, and send back what was wrong with each, if anything."""
    torch.set_num_threads(1)
    sys.addaudithook(note_writing)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * LIMIT_BYTES, size + 2 * LIMIT_BYTES))
    while True:
        number, kind, folder = connection.recv()
        words = damage(kind, good, folder / "in", np.random.default_rng([seed, number]))
        connection.send(attempt(words, folder))


def attempt(words: Sequence[str], folder: Path) -> list[str]:
    """Run a command whose input lies in ``folder/in``, and return what is wrong with how it ended."""
    for name in ("out", "tmp", "home", "cwd"):
        (folder / name).mkdir()
    os.environ["HOME"], tempfile.tempdir = str(folder / "home"), str(folder / "tmp")
    os.chdir(folder / "cwd")
    out = folder / "out" / "list.json" if words[0] == "datalist" else folder / "out"
    sys.argv = ["csvd", *words, "--out", str(out)]
    before, peak = set((folder / "in").rglob("*")), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _written.clear()
    code, said, errors = run()
    written = [*_written]
    (folder / "said.txt").write_text(f"{sys.argv}\n{code}\n{said}\n{errors}\n", encoding="utf-8", errors="replace")
    own = f"fault of bundle '{folder / 'in'}/"  # what a damaged bundle makes MONAI raise is nobody's to foresee
    faults = [
        *of_ending(code, *(text.replace("internal error", "") if own in text else text for text in (said, errors))),
        *of_results(folder / "out", words, code, said),
    ]
    allowed = (str(folder / "out"), str(folder / "tmp"), "/dev/")
    outside = [path for path in written if not path.startswith(allowed) and "__pycache__" not in path]
    outside += [str(path) for path in {*(folder / "in").rglob("*")} ^ before]
    outside += [str(path) for name in ("tmp", "home", "cwd") for path in (folder / name).iterdir()]
    faults += [f"outside --out: {path}" for path in outside[:3]]
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
    return faults + ([f"took {grown / 2**20:.0f} MB"] if grown > LIMIT_BYTES else [])


def run() -> tuple[int, str, str]:
    """Run the command of ``sys.argv`` and return its exit code, output and errors."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    code: Any = 0
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            csvd()
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            code = repr(error)
        for stream in streams:
            stream.flush()
    said, errors = (stream.buffer.getvalue().decode() for stream in streams)
    return code, said, errors


def of_ending(code: Any, said: str, errors: str) -> Iterator[str]:
    """Yield what is wrong with an exit code and with what was printed."""
    if code not in (0, 1, 2):
        yield f"exit code {code}"
    if "internal error" in errors + said or "Traceback" in errors + said:
        yield next(line for line in (errors + said).splitlines() if "internal error" in line or "Traceback" in line)
    if code == 2 and len(errors.splitlines()) != 1:
        yield f"{len(errors.splitlines())} lines on standard error"
    if any(len(line) > LONGEST_LINE for line in errors.splitlines()):
        yield f"a line of {max(map(len, errors.splitlines()))} letters"
    if not (errors + said).replace("\n", "").isprintable():
        yield "control characters on the screen"


def of_results(out: Path, words: Sequence[str], code: int, said: str) -> Iterator[str]:
    """Yield what is wrong with what was written."""
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    yield from (f"left behind: {path}" for path in left if Path(path).name.startswith(".") and path != ".bidsignore")
    if code == 2 and left:
        yield f"a command that could not run wrote {left[0]}"
    if code == 2 or words[0] == "datalist":
        return
    for row in json.loads(said):
        folder = out / row["case"]
        if row["status"] == "failed" and folder.exists():
            yield f"failed, but wrote {folder}"
        if row["status"] == "ok" and words[0] == "detect" and "--bids" not in words:
            yield from of_scan(folder, row)


def of_scan(folder: Path, row: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the results of one scan."""
    missing = [end for end in RESULTS if not (folder / f"{folder.name}{end}").exists()]
    if missing:
        yield f"without {missing[0]}"
        return
    labels = nib.Nifti1Image.from_filename(folder / f"{folder.name}_cmb.nii.gz")
    found = len(np.unique(np.asarray(labels.dataobj))) - 1
    told = row["counts"]["total"] + row["counts"]["large"]
    rows = len((folder / f"{folder.name}_lesions.tsv").read_text(encoding="utf-8").splitlines()) - 1
    if not found == told == rows or list(labels.shape) != row["input"]["shape"][:3]:
        yield f"counts {told}, in its map {found}, in its table {rows}; shapes {labels.shape}, {row['input']['shape']}"


def in_process(target: Any, *arguments: Any) -> multiprocessing.Process:
    """Start a fork of this process, which has loaded everything."""
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


class Worker:
    """A process that tries one input after the other; a new one where that one hangs or dies."""

    def __init__(self, good: Path, seed: int) -> None:
        self.good, self.seed = good, seed
        self.process: multiprocessing.Process | None = None

    def __call__(self, number: int, kind: str, folder: Path) -> list[str]:
        """Return what is wrong with how an input ended."""
        if self.process is None:
            self.connection, other = multiprocessing.Pipe()
            self.process = in_process(work, other, self.good, self.seed)
            other.close()
        self.connection.send((number, kind, folder))
        try:
            if self.connection.poll(LIMIT_S):
                return self.connection.recv()
            fault = f"took longer than {LIMIT_S:g} s"
        except EOFError:
            self.process.join()
            fault = f"ended with code {self.process.exitcode}"
        self.stop()
        return [fault]

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def prepare(good: Path) -> None:
    """Write the good inputs, and a result for the markups."""
    make_templates(good)
    sys.argv = ["csvd", "detect", str(good / "scan.nii.gz"), "--bundle", str(good / "bundle")]
    sys.argv += ["--out", str(good / "results")]
    code, said, errors = run()
    assert code == 0, said + errors


def main() -> None:
    """Print what came of the inputs, and end with exit code 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=[*KINDS])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of inputs")
    parser.add_argument("--keep", type=Path, help="folder for the inputs and outputs of those that fail, or of --only")
    arguments = parser.parse_args()
    started, tried, failed = time.time(), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        good = Path(root) / "good"
        in_process(prepare, good).join()
        worker, names = Worker(good, arguments.seed), [*KINDS]
        for number in arguments.only or range(arguments.inputs):
            kind = names[number % len(names)]
            if kind not in arguments.kinds:
                continue
            folder = Path(root) / str(number)
            folder.mkdir()
            faults = worker(number, kind, folder)
            tried[kind] += 1
            failed[kind] += bool(faults)
            if faults:
                print(f"{number} {kind}: {'; '.join(faults)}", flush=True)
            if arguments.keep and (faults or arguments.only):
                shutil.copytree(folder, arguments.keep / str(number), symlinks=True)
            shutil.rmtree(folder)
        worker.stop()
    for kind in tried:
        print(f"{kind}: {tried[kind]} inputs, {failed[kind]} failed")
    seconds = time.time() - started
    command = f"`python benchmarks/fuzz.py --inputs {arguments.inputs} --seed {arguments.seed}`"
    print(f"| fuzzing | {tried.total()} | {failed.total()} | {seconds:.0f} | {command} |")
    sys.exit(int(failed.total() > 0))


if __name__ == "__main__":
    main()
