"""The order of the tests, and what is loaded where: fixtures in the processes that run tests, see :mod:`common`."""

import gc

import warm


def pytest_configure(config):
    """Load the fixtures; a process that only hands out tests loads nothing, it starts the one that all fork."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        config.pluginmanager.import_plugin("common")
    else:
        warm.start()


def pytest_collection_modifyitems(items):
    """Put files with slow tests first, the documents before all: a long test at the end leaves processes idle.

    Coverage is that of the other tests. Tracing takes a third of the time of a test.
    """
    slow = set()
    for item in items:
        if item.get_closest_marker("slow"):
            slow.add(item.path)
            item.add_marker("no_cover")
    items.sort(key=lambda item: (item.path not in slow, item.path.name != "test_docs.py"))


def pytest_collection_finish():
    """Never look again through what is loaded by now for what could be freed."""
    gc.collect()
    gc.freeze()
