"""Detection where disks are full, read-only, missing or slow; needs root, whose mounts nobody else sees.

Each must end with the results of an undisturbed run or one clear line, with nothing half written; and, once there is
room, ``--resume`` must give the results.

    python benchmarks/disks.py
    python benchmarks/disks.py --delay 2000     # also: every access to a file takes 2 ms longer, by strace
"""

import argparse
import contextlib
import ctypes
import io
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from killed_commands import Command, become, left_in, results_in, same
from small_bundle import write_bundle, write_scan

FORK = multiprocessing.get_context("fork")
NEW_MOUNTS = 0x00020000
SIZES_KB = [24, 48, 80, 120, 160, 200, 240]
"""Of a full disk; the results of three scans take about 300 kB."""
SCANS = 3


def mount(*words: str) -> None:
    """Mount a file system that this process alone sees."""
    subprocess.run(["mount", *words], check=True, capture_output=True)


def csvd(*words: str) -> tuple[int, str]:
    """Run a command line in this process; return its exit code and what it prints."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            become(Command(()), [*map(str, words)])
        except SystemExit as stop:
            return int(stop.code or 0), told.getvalue()
    return 0, told.getvalue()


class Place:
    """Folders of a process of its own: inputs, results of an undisturbed run, and room for mounts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.expected = folder, folder / "out", results_in(folder / "expected")

    def detect(self, *more: str) -> tuple[int, str]:
        """Detect in the scans."""
        return csvd("detect", f"{self.folder}/in", "--bundle", f"{self.folder}/bundle", "--out", f"{self.out}", *more)

    def wrong(self, code: int, told: str) -> Iterator[str]:
        """Yield what differs from the undisturbed run."""
        if code != 0:
            yield f"exit code {code}: {told}"
        found = results_in(self.out)
        yield from (f"{name} differs" for name in found if not same(found[name], self.expected[name]))
        yield from (f"{name} is missing" for name in self.expected.keys() - found.keys())
        yield from (f"{name} stays" for name in left_in(self.out))

    def refused(self, code: int, told: str, reason: str) -> Iterator[str]:
        """Yield what is wrong with a run that cannot end well."""
        lines = [line for line in told.splitlines() if reason in line]
        if code not in (1, 2) or not lines or "Traceback" in told or "internal error" in told:
            yield f"exit code {code}, without a clear line: {told}"
        # Tables and page of the cohort say that scans failed.
        found = {name: path for name, path in results_in(self.out).items() if "/" in name}
        yield from (f"{name} is half written" for name in found if not same(found[name], self.expected[name]))
        cases = {name.split("/")[0] for name in found}
        wanted = [name for name in self.expected if name.split("/")[0] in cases]
        yield from (f"{name} is missing" for name in wanted if name not in found)
        yield from (f"{name} stays" for name in left_in(self.out))


def full(place: Place) -> Iterator[str]:
    """Fill the disk of the results at different files; then make room."""
    for size in SIZES_KB:
        place.out.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", f"size={size}k", "none", str(place.out))
        yield from (f"{size} kB: {fault}" for fault in place.refused(*place.detect(), "No space left"))
        mount("-o", "remount,size=16m", str(place.out))
        yield from (f"{size} kB, then room: {fault}" for fault in place.wrong(*place.detect("--resume")))
        subprocess.run(["umount", str(place.out)], check=True)


def limited(place: Place) -> Iterator[str]:
    """Let no file be longer than some bytes, which needs no mounts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 2000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            code, told = place.detect()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        yield from (f"{size} bytes: {fault}" for fault in place.refused(code, told, "File too large"))
    yield from place.wrong(*place.detect("--resume"))


def read_only_input(place: Place) -> Iterator[str]:
    """Read scans that nobody can write beside."""
    mount("--bind", str(place.folder / "in"), str(place.folder / "in"))
    mount("-o", "remount,bind,ro", str(place.folder / "in"))
    yield from place.wrong(*place.detect())


def read_only_output(place: Place) -> Iterator[str]:
    """Write where nobody can."""
    place.out.mkdir()
    mount("-t", "tmpfs", "-o", "ro", "none", str(place.out))
    yield from place.refused(*place.detect(), "does not take a new folder (Read-only file system)")


def no_home(place: Place) -> Iterator[str]:
    """Have no home."""
    os.environ.pop("HOME", None)
    yield from place.wrong(*place.detect())
    os.environ["HOME"] = "/does/not/exist"
    yield from place.wrong(*place.detect("--overwrite"))


def no_temporary(place: Place) -> Iterator[str]:
    """Have no folder for temporary files; then one that is named."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ.pop(name, None)
    shutil.copytree(place.folder, "/mnt", dirs_exist_ok=True)
    moved = Place(Path("/mnt"))
    for folder in ("/tmp", "/var/tmp", "/usr/tmp", "/srv"):
        if Path(folder).exists():
            mount("-t", "tmpfs", "-o", "ro", "none", folder)
    os.chdir("/srv")
    tempfile.tempdir = None
    yield from moved.refused(*moved.detect(), "set TMPDIR to one that can")
    os.environ["TMPDIR"] = "/mnt"
    tempfile.tempdir = None
    yield from moved.wrong(*moved.detect())


KINDS: dict[str, Callable[[Place], Iterator[str]]] = {
    "full disk": full,
    "longest file": limited,
    "read-only input": read_only_input,
    "read-only output": read_only_output,
    "no home": no_home,
    "no folder for temporary files": no_temporary,
}


def in_own_mounts(kind: str, folder: Path, told: Path) -> None:
    """Write what is wrong in a process whose mounts nobody else sees."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "cannot have mounts of its own: run as root")
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "none", "/mnt")
    with told.open("w") as file:  # before something is mounted over it
        file.write("\n".join(KINDS[kind](Place(folder))))


def slow(folder: Path, delay_us: int) -> int:
    """Detect under strace, which makes each access to a file slower; print the row, and return the number of faults."""
    calls = "openat,read,write,fsync,rename,mkdir,unlink"
    words = [sys.executable, "-m", "csvd.cli", "detect", folder / "in", "--bundle", folder / "bundle"]
    trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    trace += ["-e", f"inject={calls}:delay_enter={delay_us}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "tests")}
    started = time.monotonic()
    done = subprocess.run([*trace, *words, "--out", folder / "out"], env=environment, capture_output=True, text=True)
    faults = [*Place(folder).wrong(done.returncode, done.stdout + done.stderr)]
    print(*faults, sep="\n", end="\n" if faults else "")
    row = f"disk that takes {delay_us} us longer for each access | 1 | {len(faults)} | {time.monotonic() - started:.0f}"
    print(f"| {row} | `python benchmarks/disks.py --delay {delay_us}` |", flush=True)
    return len(faults)


def main() -> None:
    """Print a row a kind; the exit code is 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_KB, help="of the full disk, in kB")
    parser.add_argument("--delay", type=int, default=0, help="of each access to a file, in microseconds")
    arguments = parser.parse_args()
    SIZES_KB[:] = arguments.sizes
    root, failed = Path(tempfile.mkdtemp(prefix="disks-")), 0
    folder = root / "place"
    try:
        write_bundle(folder / "bundle")
        for seed in range(SCANS):
            write_scan(folder / "in" / f"sub-{seed}_swi.nii.gz", seed)
        code, told = csvd("detect", f"{folder}/in", "--bundle", f"{folder}/bundle", "--out", f"{folder}/out")
        if code:
            raise RuntimeError(told)
        (folder / "out").rename(folder / "expected")
        for kind in KINDS:
            started = time.monotonic()
            process = FORK.Process(target=in_own_mounts, args=(kind, folder, root / "told"))
            process.start()
            process.join()
            faults = (root / "told").read_text().splitlines() if process.exitcode == 0 else ["it broke"]
            print(*faults, sep="\n", end="\n" if faults else "")
            seconds = f"{time.monotonic() - started:.0f}"
            print(f"| {kind} | 1 | {int(bool(faults))} | {seconds} | `python benchmarks/disks.py` |", flush=True)
            failed += bool(faults)
            shutil.rmtree(folder / "out", ignore_errors=True)
        if arguments.delay:
            failed += slow(folder, arguments.delay)
    finally:
        shutil.rmtree(root)
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
