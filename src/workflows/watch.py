"""A DICOMweb server that is asked for new studies again and again, each of which is worked on once."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..checks import InputError, reason
from ..io.dicom.web import DicomWeb
from ..io.dicom.web_errors import NoAnswer
from ..io.web_cases import find_web_case, results_of, stored_results, web_case_name
from .detection import detect
from .pacs import add_to_cohort, detect_cases, note_studies, noted_studies
from .pool import Row

logger = logging.getLogger(__name__)

STEP_SECONDS = 0.2


class Stop:
    """Whether somebody asked for an end."""

    def __init__(self) -> None:
        self.asked = False

    def wait(self, seconds: float) -> None:
        """Wait, unless an end is asked for meanwhile."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STEP_SECONDS))

    @contextmanager
    def by_signal(self) -> Iterator[Stop]:
        """Ask for an end at SIGINT (Ctrl-C) and SIGTERM; the second one interrupts what is being done."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def watch(
    url: str,
    filters: Mapping[str, str],
    out: Path,
    bundle: Path,
    *,
    interval: float,
    stop: Stop,
    say: Callable[[Row], None],
    complain: Callable[[str], None],
    resume: bool = False,
    **how: Any,
) -> list[Row]:
    """Detect microbleeds in the studies of a server that match, as they come, until the end is asked for.

    A study is worked on once: not if the table of studies in ``out`` has it, nor if the server has a result of csvd for
    it that is not from ``out``. It is left until the number of its instances stays the same for an interval, because it
    may still be on its way to the server. What was begun and did not end is begun again.

    Args:
        url: of the server, see :class:`csvd.io.dicom.web.DicomWeb`.
        filters: values by keyword, see :func:`csvd.io.dicom.web.filters_of`.
        out: folder of the results.
        bundle: folder of the detection bundle.
        interval: seconds between two questions.
        stop: is looked at between studies, and while waiting.
        say: is told of each row.
        complain: is told why the server did not answer; it is asked again later.
        resume: work once more on studies that failed in an earlier run.
        how: further arguments of :func:`csvd.workflows.pacs.detect_cases`.

    Returns:
        The rows of this run, see :func:`csvd.workflows.detection.run_bundle`.

    Raises:
        InputError: the server does not answer the first question, or bundle or output cannot be used.
    """
    server = DicomWeb(url)
    detect([], out, bundle, **{name: value for name, value in how.items() if name not in ("store", "dicom")})
    taken = {row["case"] for row in noted_studies(out) if not (resume and row["status"] == "failed")}
    seen, rows = _waiting(server, filters, taken), []
    while not stop.asked:
        stop.wait(interval)
        try:
            found = {} if stop.asked else _waiting(server, filters, taken)
            for study, count in found.items():
                name = web_case_name(study)
                if stop.asked or seen.get(study) != count:
                    continue
                row = _take(server, study, out, bundle, **how)
                if row is not None and row["status"] == "failed" and stop.asked:
                    break  # perhaps because Ctrl-C ended a program that worked on it
                taken.add(name)
                if row is not None:
                    add_to_cohort(out, row)
                    note_studies(out, {name: study}, [row])
                    rows.append(row)
                    say(row)
            seen = found
        except InputError as error:  # of the server: what is wrong with a study is a row
            logger.warning("%s", error)
            complain(str(error))
    return rows


def _waiting(server: DicomWeb, filters: Mapping[str, str], taken: Collection[str]) -> dict[str, int]:
    """Return the studies that match and are not taken, and how many instances each has.

    Raises:
        InputError: the server does not answer, or not in DICOMweb.
    """
    found = {study: count for study, count in server.studies(filters).items() if web_case_name(study) not in taken}
    return {study: server.count(study) if count is None else count for study, count in found.items()}


def _take(server: DicomWeb, study: str, out: Path, bundle: Path, **how: Any) -> Row | None:
    """Work on a study, and return its row; None where the server has a result of csvd for it.

    Raises:
        NoAnswer: the server cannot be asked for it.
    """
    name = web_case_name(study)
    try:
        case = find_web_case(server, study)
        if stored_results(case.series) - results_of(out, name).keys():
            logger.info("%s has a result of csvd on the server, it is left out", name)
            return None
        [row] = detect_cases(server, [case], out, bundle, resume=True, **how)
        return row
    except NoAnswer:
        raise
    except Exception as error:  # whatever is wrong with one study must not end the watch
        logger.error("%s failed: %s", name, reason(error), exc_info=not isinstance(error, InputError))
        return {"case": name, "subject": None, "status": "failed", "reason": reason(error)}
