"""How processes start, fast, and how they end: at a signal, and with the process that started them."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in the block without garbage collection, which takes a third of the time and finds nothing.

    What is there afterwards stays to the end of the process, and no later collection visits it. Where nothing was
    imported, as in a second command of the same process, what the first one left behind can still be collected.
    """
    known = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        gc.enable()


def end_at_sigterm() -> None:
    """Let SIGTERM end this process as an error would: what is temporary is removed on the way, the code is 143."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ends."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
