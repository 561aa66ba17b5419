"""How processes start and end."""

import gc

import pytest

from csvd.processes import quick_imports


def test_imports_are_not_collected_and_never_visited_again():
    gc.collect()
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_collection_goes_on_after_an_import_that_fails():
    try:
        with pytest.raises(ImportError), quick_imports():
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
