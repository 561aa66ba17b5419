"""Many scans: shared out among machines and processes, so that a bad one costs its own row and nothing else."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from ..checks import InputError, cause_of, reason
from ..io import Case
from ..processes import end_at_sigterm, end_with_parent
from .results import Result

logger = logging.getLogger(__name__)

Row = dict[str, Any]
LONGEST = timedelta(days=30)  # that a machine waits for the others


@dataclass(frozen=True)
class Outcome:
    """What came of a scan.

    Attributes:
        row: see :func:`run_each`.
        seconds: that each step took.
        traceback: of an error that is not ours.
    """

    row: Row
    seconds: Mapping[str, float] = field(default_factory=dict)
    traceback: str = ""


Work = Callable[[Case], Result]

_work: list[Work | Exception] = []  # what works on a scan in a process that :func:`_in_processes` started, or why not


def rank_and_world_size() -> tuple[int, int]:
    """Return the number of this process among those that ``torchrun`` started, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def own_share(cases: Sequence[Case]) -> list[Case]:
    """Return the scans that this process works on: every n-th, so that each gets some of all sites."""
    rank, size = rank_and_world_size()
    return list(cases[rank::size])


def local_device() -> dict[str, str]:
    """Return the setting ``device`` of this process, where ``torchrun`` started several and there are GPUs."""
    if rank_and_world_size()[1] == 1 or not torch.cuda.is_available():
        return {}
    return {"device": f"$torch.device('cuda:{os.environ.get('LOCAL_RANK', '0')}')"}


def gather(rows: list[Row], cases: Sequence[Case]) -> list[Row]:
    """Return the rows of all processes that ``torchrun`` started, in the order of the cases; waits for all of them."""
    if rank_and_world_size()[1] > 1:
        dist.init_process_group("gloo", timeout=LONGEST)
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, rows)
        dist.destroy_process_group()
        rows = list(chain.from_iterable(everyone))
    by_name = {row["case"]: row for row in rows}
    return [by_name[case.name] for case in cases]


def run_each(cases: Sequence[Case], make: Callable[[], Work], jobs: int = 1) -> list[Row]:
    """Return a row for each scan: its name, ``status`` "ok" and what the work returned, or "failed" and the ``reason``.

    Each scan goes into the log, with the time that it took, or the traceback of an error that is not ours.

    Args:
        cases: scans.
        make: makes what works on a scan, in each process once; several processes need one that can be pickled.
        jobs: processes, which share the cores. With one, the work is done in this process.
    """
    if not cases:
        return []
    if jobs == 1:
        work = make()
        outcomes: Iterable[Outcome] = (attempt(work, case) for case in cases)
    else:
        outcomes = _in_processes(cases, make, jobs)
    hidden = True if rank_and_world_size()[0] else None  # None: hidden unless in a terminal
    return [_logged(outcome) for outcome in tqdm(outcomes, "scans", len(cases), unit="scan", disable=hidden)]


def attempt(work: Work, case: Case) -> Outcome:
    """Return what came of one scan."""
    try:
        result = work(case)
    except Exception as error:  # whatever is wrong with one scan must not stop the others
        ours = isinstance(cause_of(error), InputError)
        text = "" if ours else "".join(traceback.format_exception(error))
        return Outcome(_failed(case, reason(error)), traceback=text)
    if result.record["case"] != case.name:
        raise AssertionError(f"the result of '{result.record['case']}' came back for the scan '{case.name}'")
    return Outcome({"case": case.name, "status": "ok", **result.record}, result.seconds)


def _failed(case: Case, why: str) -> Row:
    return {"case": case.name, "subject": case.subject, "status": "failed", "reason": why}


def _logged(outcome: Outcome) -> Row:
    """Write a scan into the log, and return its row."""
    row = outcome.row
    if row["status"] == "ok":
        logger.info("%s ok, seconds: %s", row["case"], dict(outcome.seconds))
    else:
        logger.error("%s failed: %s%s", row["case"], row["reason"], outcome.traceback and f"\n{outcome.traceback}")
    for warning in row.get("warnings", ()):
        logger.warning("%s: %s", row["case"], warning)
    return row


def _in_processes(cases: Sequence[Case], make: Callable[[], Work], jobs: int) -> Iterator[Outcome]:
    """Yield what came of the scans, as they are done.

    The death of a process, for want of memory for example, ends the pool. The scans that were being worked on are then
    tried one by one, each in a process of its own, and the rest go on.
    """
    waiting = deque(cases)
    while waiting:
        running: dict[Future[Outcome], Case] = {}
        threads = max(1, torch.get_num_threads() // jobs)
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(jobs, context, _start, (make, threads)) as pool, _stopping():
                while waiting or running:
                    while waiting and len(running) < jobs:
                        case = waiting.popleft()
                        running[pool.submit(_attempt_here, case)] = case
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcome = future.result()
                        del running[future]
                        yield outcome
        except BrokenProcessPool:
            suspects = list(running.values())
            if jobs == 1:
                why = "its process was killed: it may need more memory than there is. Crop it."
                yield Outcome(_failed(suspects[0], why))
                continue
            for case in suspects:
                yield from _in_processes([case], make, 1)


@contextmanager
def _stopping() -> Iterator[None]:
    """Stop the processes that were started meanwhile when the block does not end well: nobody waits for their scans."""
    before = {*multiprocessing.active_children()}
    try:
        yield
    except BaseException:
        for process in {*multiprocessing.active_children()} - before:
            process.terminate()
        raise


def _start(make: Callable[[], Work], threads: int) -> None:
    """Make what works on a scan, in a process that was just started; an error is raised where the first scan waits."""
    warnings.simplefilter("ignore")  # as the command line does in the first process
    logging.disable(logging.CRITICAL)
    share_cores(threads)
    end_with_parent()
    end_at_sigterm()
    try:
        _work[:] = [make()]
    except Exception as error:
        _work[:] = [error]


def share_cores(threads: int) -> None:
    """Let torch and BLAS take that many threads of this process each."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def _attempt_here(case: Case) -> Outcome:
    [work] = _work
    if isinstance(work, Exception):
        raise work
    try:
        return attempt(work, case)
    except SystemExit:  # of this process alone
        os._exit(1)
