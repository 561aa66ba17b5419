"""Memory of a group of processes."""

import os
from contextlib import suppress
from pathlib import Path


def memory_mb(group: int, kind: str) -> float:
    """Return the memory of the processes of a group, in MB; Linux only.

    Args:
        group: its number.
        kind: as ``smaps_rollup`` has it: "Private", what they share with no other process; "Pss:", in which a page that
            several share counts once.
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if os.getpgid(int(folder.name)) == group:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith(kind))
    return total / 1024
