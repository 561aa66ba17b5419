"""The order of the tests, and what is loaded where: fixtures in the processes that run tests, see :mod:`common`."""

import gc

import pytest
import warm

SPREAD = ("test_docs.py", "test_bundle.py")
"""Files with many slow tests, which share no fixture of their file."""


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    """Load the fixtures; a process that only hands out tests loads nothing, it starts the one that all fork.

    Coverage has begun by now, so it counts what is loaded here.
    """
    config = session.config
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("common")
    else:
        warm.start()


def pytest_collection_modifyitems(config, items):
    """Give each process its part of the slow tests first: a long test at the end leaves processes idle.

    A file stays in one process, for its fixtures, but the tests of :data:`SPREAD`. Coverage is that of the other tests.
    Tracing takes a third of the time of a test.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    for item in slow:
        item.add_marker("no_cover")
    spread = sorted((item for item in slow if item.path.name in SPREAD), key=lambda item: SPREAD.index(item.path.name))
    units = [*spread, *dict.fromkeys(item.path for item in [*slow, *items])]
    rank = {unit: number for number, unit in enumerate(units)}
    processes = getattr(config, "workerinput", {}).get("workercount", 1)

    def part(item):
        number = rank.get(item, rank[item.path])
        return number % processes, number

    items.sort(key=part)


def pytest_collection_finish():
    """Never look again through what is loaded by now for what could be freed."""
    gc.collect()
    gc.freeze()
