"""Pictures of the study of training strategies: ROC curves, and false positives that fine-tuning removed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sklearn.metrics import RocCurveDisplay

from ..io.files import atomic_path
from .candidates import CandidateTable

EXAMPLES = 6


def plot_roc(
    tested: Mapping[str, CandidateTable], likelihoods: Mapping[str, Mapping[str, np.ndarray]], path: Path
) -> None:
    """Draw the ROC curves of the strategies, a panel a test set."""
    import matplotlib.pyplot as plt

    figure, row = plt.subplots(1, len(tested), figsize=(4.6 * len(tested), 4.4), layout="constrained")
    for axes, (test, found) in zip(row, tested.items(), strict=True):
        for name, values in likelihoods[test].items():
            RocCurveDisplay.from_predictions(found.labels, values, name=name, ax=axes)
        axes.set(title=f"test: {test}", xlabel="1 - specificity", ylabel="sensitivity")
        axes.legend(fontsize="x-small", loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)


def plot_removed(found: CandidateTable, before: np.ndarray, after: np.ndarray, threshold: float, path: Path) -> None:
    """Draw false positives that fine-tuning removed, the clearest first: middle slices of each.

    Args:
        found: candidates.
        before, after: their likelihoods (N,), before and after fine-tuning.
        threshold: likelihood from which a candidate is kept.
        path: file of the picture.
    """
    import matplotlib.pyplot as plt

    removed = (found.labels == 0) & (before >= threshold) & (after < threshold)
    shown = np.flatnonzero(removed)[np.argsort((after - before)[removed])][:EXAMPLES]
    middle = found.patches.shape[-1] // 2
    slices = range(middle - 2, middle + 3)
    size = (1.3 * len(slices) + 2, 1.4 * max(1, len(shown)) + 0.4)
    figure, grid = plt.subplots(max(1, len(shown)), len(slices), figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for row, index in zip(grid, shown, strict=False):
        image = found.patches[index, 0].float()
        shades = {"vmin": float(image.min()), "vmax": float(image.max())}
        for axes, k in zip(row, slices, strict=True):
            axes.imshow(image[:, :, k].T, cmap="gray", origin="lower", **shades)
        row[-1].set_title(f" {before[index]:.2f} → {after[index]:.2f}", fontsize="small", loc="left")
    title = f"False positives that fine-tuning removed: {int(removed.sum())}, likelihood before → after"
    figure.suptitle(f"{title}\ninverted: microbleeds are bright")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
