"""Work that is done once for all test processes, and once for all runs where its sources stay as they are."""

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from filelock import FileLock

from csvd.phantom import simulate_subject

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".pytest_cache" / "simulated"
SOURCES = ("phantom", "planting", "anatomy")
"""Rooms of src/ that a simulated subject depends on."""


def filled_once(folder, fill):
    """Return ``folder`` after ``fill(folder)``, called by the first process that asks; the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            done.touch()
    return folder


def sources_hash():
    """Return a hash of the sources that simulated subjects depend on."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted(path for room in SOURCES for path in (ROOT / "src" / room).rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def simulated(protocol, seed, **how):
    """Return what ``simulate_subject`` gives, simulated when nobody has asked for it since the sources changed."""
    cache = CACHE / sources_hash()
    if not cache.exists():
        shutil.rmtree(CACHE, ignore_errors=True)  # of earlier sources
    settings = {**asdict(protocol), "vary": protocol.vary.__qualname__, "seed": seed, **how}
    folder = cache / hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]
    filled_once(folder, lambda folder: torch.save(simulate_subject(protocol, seed, **how), folder / "subject.pt"))
    return torch.load(folder / "subject.pt", weights_only=False)
