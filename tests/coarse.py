"""``python coarse.py PROGRAM ...`` runs ``csvd`` or a benchmark on scans that are simulated on a coarse grid.

Presets keep their timing and their people; studies have two series of other kinds, and experiments are those of
:mod:`small`. Several processes are forks, which need not load MONAI; ``test_cohorts.py`` starts them as ``csvd`` does.
"""

import multiprocessing
import runpy
import sys
from dataclasses import replace
from pathlib import Path

from csvd.phantom import PROTOCOLS, contrasts, studies
from csvd.phantom.protocols import Protocol

GRID = {"voxel_mm": (2.0, 2.0, 3.0), "matrix": (96, 112, 56), "fine_mm": 2.0, "radius_mm": 3.0}
KINDS = ("T1", "FLAIR")


def coarse(protocol):
    """Return a protocol of 2 x 2 x 3 mm, with lesions that are seen there."""
    return replace(protocol, **GRID, vary=Protocol.__dataclass_fields__["vary"].default)


def make_experiments_small():
    """Give ``--quick`` fewer subjects and epochs."""
    sys.path.append(str(Path(__file__).parent))
    import small

    from csvd import experiments

    experiments.QUICK = dict.fromkeys(experiments.QUICK, small.EXPERIMENT)


def main(program, *words):
    """Run a module by its name, or a script."""
    PROTOCOLS.update({name: coarse(protocol) for name, protocol in PROTOCOLS.items()})
    studies.RECIPES = {kind: contrasts.RECIPES[kind] for kind in KINDS}
    forks = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: forks
    if words[:1] == ("experiment",):
        make_experiments_small()
    sys.argv = [program, *words]
    if program.endswith(".py"):
        sys.path.insert(0, str(Path(program).resolve().parent))
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
