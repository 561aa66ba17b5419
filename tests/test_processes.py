"""How processes start and end."""

import gc
import sys
import weakref
from types import ModuleType

import pytest

from csvd.processes import quick_imports


def test_imports_are_not_collected_and_never_visited_again(monkeypatch):
    gc.collect()
    try:
        with quick_imports():
            assert not gc.isenabled()
            monkeypatch.setitem(sys.modules, "imported_here", ModuleType("imported_here"))
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_garbage_of_an_earlier_command_is_collected():
    class Cycle:
        pass

    one = Cycle()
    one.itself, left = one, weakref.ref(one)
    gc.disable()
    del one
    with quick_imports():
        pass
    gc.collect()
    assert left() is None


def test_collection_goes_on_after_an_import_that_fails():
    try:
        with pytest.raises(ImportError), quick_imports():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
