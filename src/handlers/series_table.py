"""Ignite handlers that write which series is what, and what that rests on."""

import os
from pathlib import Path
from typing import cast

import torch
from ignite.engine import Engine, Events

from ..checks import check_extra
from ..engines import TableWriter
from ..inferers import series_gradcam
from ..io.files import atomic_path
from .result_writer import stem_of

SERIES_COLUMNS = {
    "image": "file",
    "sequence": "what most slices look like, or 'unsure'",
    "probability": "of sequences that look like it, mean over the slices, 0 to 1",
    "votes": "slices that look like it",
    "suitable": "mean probability of the sequences that the detector takes",
}

PANELS = 6


class SeriesTable(TableWriter):
    """Write a row a series, with :data:`SERIES_COLUMNS`, when an evaluation is complete; research use only.

    Args:
        path: the table, ``.tsv``.
    """

    def collect(self, engine: Engine) -> None:
        """Take the series of a batch."""
        for item in cast(list[dict], engine.state.output):
            values = {name: item[name] for name in SERIES_COLUMNS if name != "image"}
            rounded = {name: round(v, ndigits=3) if isinstance(v, float) else v for name, v in values.items()}
            self.rows.append({"image": item["image"].meta["filename_or_obj"], **rounded})


class SeriesPicture:
    """Write ``<output_dir>/<series>_sequence.png``: the slices of each series, coloured by Grad-CAM.

    Args:
        output_dir: folder of the pictures.
        network: that of the gate.
    """

    def __init__(self, output_dir: str | os.PathLike[str], network: torch.nn.Module) -> None:
        self.output_dir = Path(output_dir)
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Draw on ``ITERATION_COMPLETED``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Draw the series of a batch."""
        for item in cast(list[dict], engine.state.output):
            name = stem_of(str(item["image"].meta["filename_or_obj"]))
            title = f"{name}: {item['sequence']}, {item['probability']:.2f}. Research use only."
            self.output_dir.mkdir(parents=True, exist_ok=True)
            draw_series(item["image"].cpu(), self.network, title, self.output_dir / f"{name}_sequence.png")


def draw_series(series: torch.Tensor, network: torch.nn.Module, title: str, path: Path) -> None:
    """Draw slices (1, H, W, N), those that spoke most for their sequence in red, anterior up in axial ones."""
    check_extra("experiments")
    import matplotlib.pyplot as plt

    heat = series_gradcam(series, network)
    rows = -(-series.shape[-1] // PANELS)
    figure, grid = plt.subplots(rows, PANELS, figsize=(1.6 * PANELS, 1.7 * rows), squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    for k, axes in zip(range(series.shape[-1]), grid.flat, strict=False):
        axes.imshow(series[0, :, :, k].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        axes.imshow(heat[0, :, :, k].T, cmap="inferno", origin="lower", alpha=0.4, vmin=0, vmax=1)
    figure.suptitle(title, fontsize="medium")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
