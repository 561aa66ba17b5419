"""How much the rates of the cascade vary from one training to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..metrics import froc, pooled_rates
from .components import NO_KD, STAGES
from .leave_out import random_scanners, subjects_note
from .sizes import Size
from .study import THRESHOLDS, Study, Variant
from .tables import NOTE, RATES, plot_froc, rates_row, write_results

SEEDS = (0, 1, 2)


def seeds(study: Study, size: Size, match: str = "overlap") -> Path:
    """Train on random scanners with three seeds; return the folder of the table.

    The subjects are the same for all, those of :func:`leave_out`; the seed draws first weights, patches and order.
    """
    data = study.data("seeds", **random_scanners(study, size))
    rows, curves, found = [], {}, []
    for seed in SEEDS:
        variant = Variant(f"seed_{seed}", (NO_KD,), {"seed": seed})
        index, counts = study.chosen(data, study.train(data, STAGES, variant), variant, match)
        rows.append({"seed": str(seed), "threshold": round(THRESHOLDS[index], 4), **rates_row(counts[:, index], match)})
        curves[f"seed {seed}"] = froc(counts, THRESHOLDS, match)
        found.append(pooled_rates(counts[:, index]))
    rows.append({"seed": "mean (standard deviation)", **_spread(found)})
    notes = [
        f"{subjects_note(size)}, the same for all seeds; thresholds of the best F1 on validation scans.",
        NOTE.format(match=match, seeds="0 to 2"),
    ]
    write_results(rows, study.out / "seeds", "Three seeds", notes)
    plot_froc({"same subjects": curves}, study.out / "froc.png")
    return study.out


def _spread(found: list[dict[str, torch.Tensor]]) -> dict[str, str]:
    """Return mean and standard deviation over the trainings of each rate."""
    values = {name: np.array([float(rates[rate]) for rates in found]) for rate, name in RATES.items()}
    return {name: f"{value.mean():.3f} ({value.std(ddof=1):.3f})" for name, value in values.items()}
