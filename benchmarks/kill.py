"""Kills commands at random moments, runs them again as the documents say, and compares with a run that was left alone.

Half of the signals are SIGKILL, half SIGTERM. Half come after a random share of the time that the command takes, half
before a random one of the steps in which it changes the disk: a file is opened for writing, renamed, removed, a folder
made. A moment fails when a file that has its name is not whole, a process lives on, the second run does not end well,
its results differ by a byte, or a temporary file stays.

    python benchmarks/kill.py --moments 40 --seed 0
    python benchmarks/kill.py --moments 4 --commands pack classify
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from killed_commands import COMMANDS, Command, become, left_in, results_in, same, words_of, write_inputs

FORK = multiprocessing.get_context("fork")
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
ENDS_S = 20
"""Within which all processes of a killed command must have ended."""


@dataclass(frozen=True)
class Moment:
    """When a command is killed: before that change of the disk, counted from 1, or after that many seconds."""

    number: signal.Signals
    change: int | None = None
    seconds: float | None = None


class Changes:
    """Audit hook that counts the changes of the disk and kills the process that was started first."""

    def __init__(self, moment: Moment | None) -> None:
        self.count, self.moment, self.process = 0, moment, os.getpid()

    def __call__(self, event: str, arguments: tuple) -> None:
        """Count an event; kill where it is the one."""
        if event == "open":
            _, mode, flags = arguments
            if not (any(letter in mode for letter in "wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event not in CHANGES:
            return
        self.count += 1
        if self.moment is not None and self.count == self.moment.change:
            os.kill(self.process, self.moment.number)


def in_fork(command: Command, words: list[str], temporary: Path, log: Path, moment: Moment | None) -> None:
    """Run a command in this process, a fork of one that has loaded everything, in a group of processes of its own."""
    os.setsid()
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    changes = Changes(moment)
    sys.addaudithook(changes)
    try:
        become(command, words)
    finally:
        changes.moment = None
        log.with_suffix(".count").write_text(str(changes.count))


def run(command: Command, words: list[str], folder: Path, moment: Moment | None = None) -> int | None:
    """Run a command, kill it where asked, wait for the end of all its processes, and return its exit code.

    Raises:
        TimeoutError: a process outlives it.
    """
    process = FORK.Process(target=in_fork, args=(command, words, folder / "tmp", folder / "log", moment))
    process.start()
    if moment is not None and moment.seconds is not None:
        process.join(moment.seconds)
        if process.exitcode is None:
            os.kill(process.pid or 0, moment.number)
    process.join()
    deadline = time.monotonic() + ENDS_S
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid or 0, 0)
        except ProcessLookupError:
            return process.exitcode
        time.sleep(0.02)
    os.killpg(process.pid or 0, signal.SIGKILL)
    raise TimeoutError("a process outlives the command")


class Killed:
    """A command, its inputs, and what it gives when nobody disturbs it."""

    def __init__(self, command: Command, folder: Path, inputs: Path) -> None:
        self.command, self.folder, self.inputs, self.out = command, folder, inputs, folder / "out"
        folder.mkdir()
        started = time.monotonic()
        self._prepare()
        code = run(command, self._words(again=False), folder)
        if code != 0:
            raise RuntimeError(f"it ends with {code} when left alone: {(folder / 'log').read_text()[-2000:]}")
        self.seconds = time.monotonic() - started
        self.changes = int((folder / "log.count").read_text())
        shutil.move(self.out, folder / "expected")
        self.expected = results_in(folder / "expected")

    def _prepare(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "log").unlink(missing_ok=True)
        if self.command.words[0] == "pack" or self.command.bundle:
            self.out.mkdir()

    def _words(self, again: bool) -> list[str]:
        return words_of(self.command, self.inputs, self.out, again)

    def moments(self, number: int, rng: random.Random) -> Iterator[Moment]:
        """Yield random moments."""
        for index in range(number):
            kind = signal.SIGTERM if index % 2 else signal.SIGKILL
            if index // 2 % 2:
                yield Moment(kind, seconds=rng.uniform(0, self.seconds))
            else:
                yield Moment(kind, change=rng.randint(1, self.changes))

    def faults(self, moment: Moment) -> tuple[bool, list[str]]:
        """Kill the command once; return whether that met it, and what is wrong then and after the next run."""
        self._prepare()
        try:
            met = run(self.command, self._words(again=False), self.folder, moment) != 0
            faults = [*self._half_written()]
            code = run(self.command, self._words(again=True), self.folder)
        except TimeoutError as error:
            return True, [str(error)]
        faults += [f"the second run ends with {code}"] if code else []
        faults += [f"{name} stays" for name in left_in(self.folder)]
        found = results_in(self.out)
        faults += [f"{name} is missing or too much" for name in sorted(found.keys() ^ self.expected.keys())]
        both = found.keys() & self.expected.keys()
        return met, faults + [f"{name} differs" for name in both if not same(found[name], self.expected[name])]

    def _half_written(self) -> Iterator[str]:
        for name, path in results_in(self.out).items() if self.command.whole else ():
            if name not in self.expected or not same(path, self.expected[name]):
                yield f"{name} is there and not whole"


def main() -> None:
    """Print what came of each moment that failed, and a row a command; the exit code is 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=40, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=[*COMMANDS], choices=[*COMMANDS])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    failed = 0
    try:
        process = FORK.Process(target=write_inputs, args=(folder,))
        process.start()
        process.join()
        for name in arguments.commands:
            failed += kill_often(name, arguments.moments, arguments.seed, folder)
    finally:
        shutil.rmtree(folder)
    sys.exit(int(failed > 0))


def kill_often(name: str, moments: int, seed: int, folder: Path) -> int:
    """Kill a command at random moments, print its row, and return how many of them failed."""
    started, met, failed = time.monotonic(), 0, 0
    killed = Killed(COMMANDS[name], folder / f"work-{[*COMMANDS].index(name)}", folder)
    for moment in killed.moments(moments, random.Random(f"{seed} {name}")):
        hit, faults = killed.faults(moment)
        met, failed = met + hit, failed + bool(faults)
        if faults:
            print(f"{name}, {moment}: {'; '.join(faults)}", flush=True)
    command = f"python benchmarks/kill.py --moments {moments} --seed {seed} --commands '{name}'"
    row = (f"kill: {name} ({met} met it)", moments, failed, f"{time.monotonic() - started:.0f}", f"`{command}`")
    print(f"| {' | '.join(map(str, row))} |", flush=True)
    shutil.rmtree(killed.folder)
    return failed


if __name__ == "__main__":
    main()
