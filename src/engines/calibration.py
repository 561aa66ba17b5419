"""Last step of a training: probabilities that mean something, and thresholds to work at."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader
from monai.engines import Evaluator
from tqdm import tqdm

from ..files import atomic_path
from ..inferers import CandidateDataset
from ..metrics import OPERATING_POINTS, FROCMetric, fit_calibration, operating_thresholds, pooled_rates, reliability
from ..networks import CascadeNetwork, calibrated
from .distributed import is_first
from .weights import load_weights, save_weights

logger = logging.getLogger(__name__)

UNKNOWN = {"operating_points": {name: {"threshold": 0.5} for name in OPERATING_POINTS}}


def judge_candidates(
    network: CascadeNetwork, candidates: CandidateDataset, device: torch.device, batch_size: int = 64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the network's logits (N, 2), the detector's probabilities (N,) and the positions (N, 3) of candidates."""
    network.eval()
    loader = DataLoader(candidates, batch_size=batch_size)
    with torch.inference_mode():
        said = [
            (
                network.judge(batch["image"].to(device), batch["position"].to(device)).float().cpu(),
                batch["detected"],
                batch["position"],
            )
            for batch in tqdm(loader, "candidates judged", disable=None)
        ]
    logits, detected, position = (torch.cat(part) for part in zip(*said, strict=True))
    return logits, detected, position


class Calibration:
    """Calibrate a cascade on validation candidates, choose its operating points on validation scans, save.

    Written are the bare state dict of the network, and beside it a JSON with the operating points, what they gave on
    the validation scans, and the reliability of the probabilities there.

    Args:
        network: trained; its ``temperature``, ``detector_weight`` and ``bias`` are set.
        candidates: of the validation scans, patches of the size that the discriminator takes.
        evaluator: runs the whole cascade on the validation scans.
        metric: in ``evaluator``; counts their lesions at each threshold.
        path: file of the weights.
        points_path: file of the operating points, for :func:`csvd.metrics.operating_threshold`.
        device: where the network is.
        batch_size: patches at a time.
    """

    def __init__(
        self,
        network: CascadeNetwork,
        candidates: CandidateDataset,
        evaluator: Evaluator,
        metric: FROCMetric,
        path: str,
        points_path: str,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        self.network = network
        self.candidates = candidates
        self.evaluator = evaluator
        self.metric = metric
        self.path = Path(path)
        self.points_path = Path(points_path)
        self.device = torch.device(device)
        self.batch_size = batch_size

    def load(self) -> None:
        """Take the weights of an earlier run, to calibrate them anew, for example on scans of one's own scanner.

        Raises:
            FileNotFoundError: there is no such file.
        """
        load_weights(self.network, self.path)

    def run(self) -> None:
        """Fit, choose and write both files.

        Where the validation scans do not allow it, because they have no microbleeds or no other candidates, the
        calibration and the operating points stay as they are, with a warning; points that never were are 0.5.
        """
        calibration = self._fit()
        save_weights(self.network, self.path)
        logger.info("saved %s", self.path)
        points = self._choose()
        if not is_first() or (points is None and self.points_path.exists()):
            return
        with atomic_path(self.points_path) as temporary:
            temporary.write_text(json.dumps((points or UNKNOWN) | calibration, indent=4) + "\n", encoding="utf-8")
        logger.info("saved %s", self.points_path)

    def _fit(self) -> dict[str, Any]:
        """Set what calibrates the network; return it, and how reliable its probabilities now are on the candidates."""
        labels = self.candidates.labels
        if labels.unique().tolist() != [0, 1]:
            logger.warning("no microbleed or no other candidate in the validation scans: not calibrated")
            return {}
        logits, detected, _ = judge_candidates(self.network, self.candidates, self.device, self.batch_size)
        names = ("temperature", "detector_weight", "bias")
        fitted = dict(zip(names, fit_calibration(logits, detected, labels), strict=True))
        for name, value in fitted.items():
            self.network.get_buffer(name).fill_(value)
        curve = reliability(calibrated(logits, detected, **fitted), labels, bins=10)
        bins = {name: getattr(curve, name).tolist() for name in ("said", "so", "count")}
        return {**fitted, "ece": curve.ece, "reliability": bins}

    def _choose(self) -> dict[str, Any] | None:
        """Return the operating points, and what they gave; nothing where there is no microbleed to choose by."""
        self.evaluator.run()
        counts = self.metric.counts() if self.evaluator.state.iteration else torch.zeros(0, 1, 4)
        if not counts[..., 0].any():
            logger.warning("no microbleed in the validation scans: operating points not chosen")
            return None
        thresholds = torch.tensor(self.metric.thresholds)
        rates = pooled_rates(counts.transpose(0, 1))
        rows = {}
        for name, threshold in operating_thresholds(counts, thresholds).items():
            index = int((thresholds - threshold).abs().argmin())
            at_point = {rate: float(values[index].nan_to_num(0)) for rate, values in rates.items()}
            rows[name] = {"threshold": threshold, **at_point}
        cohort = f"{len(counts)} scans, {int(counts[:, 0, 0].sum())} lesions, matched by {self.metric.match}"
        return {"validation": cohort, "operating_points": rows}
