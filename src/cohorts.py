"""Many scans: shared out among machines and processes, so that a bad one costs its own row and nothing else."""

from __future__ import annotations

import logging
import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from tqdm import tqdm

from .checks import first_cause
from .data import Case

Row = dict[str, Any]
Work = Callable[[Case], Row]
LONGEST = timedelta(days=30)  # that a machine waits for the others

_work: list[Work] = []  # what works on a scan in this process, one that :func:`_in_processes` started


def place() -> tuple[int, int]:
    """Return the number of this process among those that ``torchrun`` started, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_share(cases: Sequence[Case]) -> list[Case]:
    """Return the scans that this process works on: every n-th, so that each gets some of all sites."""
    rank, size = place()
    return list(cases[rank::size])


def local_device() -> dict[str, str]:
    """Return the setting ``device`` of this process, where ``torchrun`` started several and there are GPUs."""
    if place()[1] == 1 or not torch.cuda.is_available():
        return {}
    return {"device": f"$torch.device('cuda:{os.environ.get('LOCAL_RANK', '0')}')"}


def gather(rows: list[Row], cases: Sequence[Case]) -> list[Row]:
    """Return the rows of all processes that ``torchrun`` started, in the order of the cases; waits for all of them."""
    if place()[1] > 1:
        dist.init_process_group("gloo", timeout=LONGEST)
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, rows)
        dist.destroy_process_group()
        rows = list(chain.from_iterable(everyone))
    by_name = {row["case"]: row for row in rows}
    return [by_name[case.name] for case in cases]


def run_each(cases: Sequence[Case], make: Callable[[], Work], jobs: int = 1) -> list[Row]:
    """Return a row for each scan: its name, ``status`` "ok" and what the work returned, or "failed" and the ``reason``.

    Args:
        cases: scans.
        make: makes what works on a scan, in each process once; several processes need one that can be pickled.
        jobs: processes, which share the cores. With one, the work is done in this process.
    """
    if not cases:
        return []
    if jobs == 1:
        work = make()
        rows: Iterable[Row] = (attempt(work, case) for case in cases)
    else:
        rows = _in_processes(cases, make, jobs)
    hidden = True if place()[0] else None  # None: hidden unless in a terminal
    return list(tqdm(rows, "scans", len(cases), unit="scan", disable=hidden))


def attempt(work: Work, case: Case) -> Row:
    """Return the row of one scan."""
    try:
        return {"case": case.name, "status": "ok", **work(case)}
    except Exception as error:  # whatever is wrong with one scan must not stop the others
        return _failed(case, str(first_cause(error)))


def _failed(case: Case, reason: str) -> Row:
    return {"case": case.name, "status": "failed", "reason": reason}


def _in_processes(cases: Sequence[Case], make: Callable[[], Work], jobs: int) -> Iterator[Row]:
    """Yield rows as they come.

    The death of a process, for want of memory for example, ends the pool. The scans that were being worked on are then
    tried one by one, each in a process of its own, and the rest go on.
    """
    waiting = deque(cases)
    while waiting:
        running: dict[Future[Row], Case] = {}
        threads = max(1, torch.get_num_threads() // jobs)
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(jobs, context, _start, (make, threads)) as pool:
                while waiting or running:
                    while waiting and len(running) < jobs:
                        case = waiting.popleft()
                        running[pool.submit(_attempt_here, case)] = case
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        row = future.result()
                        del running[future]
                        yield row
        except BrokenProcessPool:
            suspects = list(running.values())
            if jobs == 1:
                yield _failed(suspects[0], "its process was killed: it may need more memory than there is. Crop it.")
                continue
            for case in suspects:
                yield from _in_processes([case], make, 1)


def _start(make: Callable[[], Work], threads: int) -> None:
    """Make what works on a scan, in a process that was just started."""
    warnings.simplefilter("ignore")  # as the command line does in the first process
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(threads)
    _work[:] = [make()]


def _attempt_here(case: Case) -> Row:
    return attempt(_work[0], case)
