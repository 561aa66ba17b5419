"""Last step of a training: probabilities that mean something, and thresholds to work at."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.data import DataLoader
from monai.engines import Evaluator
from monai.utils import convert_to_tensor
from tqdm import tqdm

from ..inferers import CandidateDataset, PatchInferer
from ..io.files import atomic_path
from ..metrics import (
    OPERATING_POINTS,
    FROCMetric,
    Reliability,
    fit_calibration,
    fit_platt,
    operating_thresholds,
    pooled_rates,
    reliability,
)
from ..metrics.matching import lesion_centers
from ..metrics.points import find_surest
from ..networks import CascadeNetwork, PatchEnsemble, calibrated
from ..sequences import SEQUENCES
from ..transforms import calibrate_probability
from .distributed import is_first
from .weights import load_weights, save_weights

logger = logging.getLogger(__name__)

BINS = 10
FEWEST = 10
"""Microbleeds among the candidates from which a kind of scan has a calibration of its own."""
LOWEST_TEMPERATURE = 0.2
"""A fit below it has diverged, because all microbleeds of a few scans are surer than all other candidates."""
UNCALIBRATED = {"operating_points": {name: {"threshold": 0.5} for name in OPERATING_POINTS}}


def classify_candidates(
    network: CascadeNetwork, candidates: CandidateDataset, device: torch.device, batch_size: int = 64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the network's logits (N, 2), the detector's probabilities (N,) and the positions (N, 3) of candidates."""
    network.eval()
    loader = DataLoader(candidates, batch_size=batch_size)
    with torch.inference_mode():
        outputs = [
            (
                network.candidate_logits(batch["image"].to(device), batch["position"].to(device)).float().cpu(),
                batch["detected"],
                batch["position"],
            )
            for batch in tqdm(loader, "candidates", disable=None)
        ]
    logits, detected, position = (torch.cat(part) for part in zip(*outputs, strict=True))
    return logits, detected, position


class Calibration:
    """Calibrate a network on validation scans, choose its operating points on them, save.

    Written are the bare state dict of the network, and beside it a JSON with the operating points, what they gave on
    the validation scans, and the reliability of the probabilities there.

    Args:
        network: trained.
        evaluator: runs the whole detector on the validation scans.
        metric: in ``evaluator``; counts their lesions at each threshold.
        path: file of the weights.
        points_path: file of the operating points, for :func:`csvd.metrics.operating_threshold`.
        most_lesions: lesions of a scan with more count together as so many: planted and simulated scans have dozens,
            patients few. Defaults to no limit.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        evaluator: Evaluator,
        metric: FROCMetric,
        path: str,
        points_path: str,
        most_lesions: float = math.inf,
    ) -> None:
        self.network = network
        self.evaluator = evaluator
        self.metric = metric
        self.path = Path(path)
        self.points_path = Path(points_path)
        self.most_lesions = most_lesions

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
            temporary.write_text(json.dumps((points or UNCALIBRATED) | calibration, indent=4) + "\n", encoding="utf-8")
        logger.info("saved %s", self.points_path)

    def _fit(self) -> dict[str, Any]:
        """Set what calibrates the network; return it, and how reliable its probabilities now are on the candidates."""
        raise NotImplementedError

    def _choose(self) -> dict[str, Any] | None:
        """Return the operating points, and what they gave; nothing where there is no microbleed to choose by."""
        self.evaluator.run()
        counts = self.metric.counts() if self.evaluator.state.iteration else torch.zeros(0, 1, 4)
        if not counts[..., 0].any():
            logger.warning("no microbleed in the validation scans: operating points not chosen")
            return None
        return self._points(counts)

    def _points(self, counts: torch.Tensor) -> dict[str, Any]:
        """Return the operating points that scans with these counts (S, T, 4) give, and what they gave."""
        cohort = f"{len(counts)} scans, {int(counts[:, 0, 0].sum())} lesions, matched by {self.metric.match}"
        counts = self._weighted(counts)
        thresholds = torch.tensor(self.metric.thresholds)
        rates = pooled_rates(counts.transpose(0, 1))
        rows = {}
        for name, threshold in operating_thresholds(counts, thresholds).items():
            index = int((thresholds - threshold).abs().argmin())
            at_point = {rate: float(values[index].nan_to_num(0)) for rate, values in rates.items()}
            rows[name] = {"threshold": threshold, **at_point}
        return {"validation": cohort, "operating_points": rows}

    def _weighted(self, counts: torch.Tensor) -> torch.Tensor:
        """Return counts (S, T, 4) in which the lesions of a scan weigh as :meth:`_weight` says."""
        lesions, found, detections, false = counts.double().unbind(dim=-1)
        weight = self._weight(lesions)
        return torch.stack([lesions * weight, found * weight, false + (detections - false) * weight, false], dim=-1)

    def _weight(self, lesions: torch.Tensor) -> torch.Tensor:
        """Return the weight of each lesion of scans with so many."""
        return (self.most_lesions / lesions.clamp(min=1)).clamp(max=1)


def _record(curve: Reliability) -> dict[str, Any]:
    """Return what is written of the reliability of probabilities."""
    bins = {name: getattr(curve, name).tolist() for name in ("confidence", "observed_frequency", "count")}
    return {"ece": curve.ece, "reliability": bins}


class ScoredScan(NamedTuple):
    """Candidates of a scan: ``odds``, ``label`` and ``weight`` (N,), and its ``kind``.

    The kind is the item's ``sequence``, else its ``contrast``, else that of the calibration.
    """

    odds: torch.Tensor
    label: torch.Tensor
    weight: torch.Tensor
    kind: str


def _pooled(scans: Sequence[ScoredScan]) -> tuple[torch.Tensor, ...]:
    """Return odds, labels and weights of the candidates of all scans."""
    return tuple(torch.cat(part) for part in list(zip(*scans, strict=True))[:3])


def _own_calibration(scans: Sequence[ScoredScan]) -> tuple[float, float]:
    """Return temperature and bias that the odds of a kind of scan need; 1 and 0 where too little is known of it."""
    odds, label, weight = _pooled(scans)
    if FEWEST <= label.sum() < len(label):
        temperature, bias = fit_platt(odds, label, weight)
        if LOWEST_TEMPERATURE <= temperature <= 1 / LOWEST_TEMPERATURE:
            return temperature, bias
    return 1.0, 0.0


def _curve(scans: Sequence[ScoredScan], temperature: float = 1, bias: float = 0) -> Reliability:
    """Return how reliable the probabilities of scans are after a calibration."""
    odds, label, weight = _pooled(scans)
    return reliability((odds / temperature + bias).sigmoid(), label, BINS, weight)


class PatchCalibration(Calibration):
    """:class:`Calibration` of :class:`csvd.networks.PatchEnsemble`: its ``temperature`` and ``bias``.

    Where the scans are of two contrasts, each has operating points of its own as well; so has a sequence that items
    name (``"sequence": "SWI"``), whose scans then do not count for their contrast. Each such kind of scan in which ten
    microbleeds are among the candidates, not all of them surer than the others, also has temperature and bias of its
    own, on top of those of the network, because contrasts differ in how sure the network is. See
    :func:`csvd.metrics.kind_calibration`.

    A candidate counts as a microbleed when it is paired with one: centres within 5 mm, one to one, the surest first.

    Args:
        network: trained.
        scans: preprocessed validation scans: ``image`` of the channels scan and mask, and ``label`` where there is
            one, (C, H, W, D) both.
        inferer: finds the candidates.
        evaluator, metric, path, points_path, most_lesions: see :class:`Calibration`.
        contrast: of scans that do not name theirs. Defaults to "dark".
        device: where the network is.
    """

    network: PatchEnsemble

    def __init__(
        self,
        network: PatchEnsemble,
        scans: Sequence[Mapping[str, Any]],
        inferer: PatchInferer,
        evaluator: Evaluator,
        metric: FROCMetric,
        path: str,
        points_path: str,
        most_lesions: float = math.inf,
        contrast: str = "dark",
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(network, evaluator, metric, path, points_path, most_lesions)
        self.scans, self.contrast = scans, contrast
        self.inferer = inferer
        self.device = torch.device(device)
        self.kinds: list[str] = []
        self.own: dict[str, tuple[float, float]] = {}

    def _fit(self) -> dict[str, Any]:
        """Set temperature and bias; return them, and how reliable probabilities now are on the candidates.

        ``reliability`` is that of the network alone, ``ece_of`` that of each kind with its own calibration.
        """
        self.network.eval()
        before = float(self.network.temperature), float(self.network.bias)
        self._set(1, 0)
        scans = (self.scans[number] for number in range(len(self.scans)))
        evaluated = [self._evaluate(scan) for scan in tqdm(scans, "scans", len(self.scans), disable=None)]
        self.kinds = [scan.kind for scan in evaluated]
        odds, label, weight = _pooled(evaluated) if evaluated else torch.zeros(3, 0)
        if label.unique().tolist() != [0, 1]:
            logger.warning("no microbleed or no other candidate in the validation scans: not calibrated")
            self._set(*before)
            return {}
        temperature, bias = fit_platt(odds, label, weight)
        self._set(temperature, bias)

        evaluated = [scan._replace(odds=scan.odds / temperature + bias) for scan in evaluated]
        each = {name: [scan for scan in evaluated if scan.kind == name] for name in sorted(set(self.kinds))}
        self.own = {name: _own_calibration(scans) for name, scans in each.items() if len(each) > 1}
        error = {name: _curve(scans, *self.own.get(name, (1, 0))).ece for name, scans in each.items()}
        return {"temperature": temperature, "bias": bias, "ece_of": error, **_record(_curve(evaluated))}

    def _points(self, counts: torch.Tensor) -> dict[str, Any]:
        """Return the operating points of all scans, and of each kind that has microbleeds beside another."""
        points = super()._points(counts)
        each = {name: torch.tensor([one == name for one in self.kinds]) for name in sorted(set(self.kinds))}
        if len(each) < 2 or len(self.kinds) != len(counts):
            return points
        own = {name: self._own_points(name, counts[k]) for name, k in each.items() if counts[k][..., 0].any()}
        sequences = {name: own.pop(name) for name in [*own] if name in SEQUENCES}
        return {**points, "contrasts": own, "sequences": sequences}

    def _own_points(self, kind: str, counts: torch.Tensor) -> dict[str, Any]:
        """Return the operating points of a kind of scan, as thresholds of its own probabilities."""
        temperature, bias = self.own.get(kind, (1.0, 0.0))
        points = super()._points(counts)
        for row in points["operating_points"].values():
            threshold = torch.tensor(row["threshold"], dtype=torch.float64)
            row["threshold"] = calibrate_probability(threshold, temperature, bias).item()
        return {"calibration": {"temperature": temperature, "bias": bias}, **points}

    def _set(self, temperature: float, bias: float) -> None:
        self.network.temperature.fill_(temperature)
        self.network.bias.fill_(bias)

    def _evaluate(self, scan: Mapping[str, Any]) -> ScoredScan:
        """Return what the network says of the candidates of a scan, and what they are."""
        found, turn = self.inferer.candidates(scan["image"].to(self.device), self.network)
        label = turn.there(convert_to_tensor(scan["label"], track_meta=False)[0].cpu())
        mm = torch.tensor(turn.spacing, dtype=torch.float64)
        lesions = torch.from_numpy(lesion_centers(label.numpy())) * mm
        true = find_surest(found.points * mm, lesions)
        weight = self._weight(torch.tensor(float(len(lesions))))
        odds = found.probability.double().logit(eps=1e-6)
        return ScoredScan(
            odds,
            true.long(),
            torch.where(true, weight, torch.ones(())),
            str(scan.get("sequence") or scan.get("contrast") or self.contrast),
        )


class CascadeCalibration(Calibration):
    """:class:`Calibration` of a cascade: its ``temperature``, ``detector_weight`` and ``bias``.

    Args:
        network: trained.
        candidates: of the validation scans, patches of the size that the discriminator takes.
        evaluator, metric, path, points_path: see :class:`Calibration`.
        device: where the network is.
        batch_size: patches at a time.
    """

    network: CascadeNetwork

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
        super().__init__(network, evaluator, metric, path, points_path)
        self.candidates = candidates
        self.device = torch.device(device)
        self.batch_size = batch_size

    def _fit(self) -> dict[str, Any]:
        """Set what calibrates the network; return it, and how reliable its probabilities now are on the candidates."""
        labels = self.candidates.labels
        if labels.unique().tolist() != [0, 1]:
            logger.warning("no microbleed or no other candidate in the validation scans: not calibrated")
            return {}
        logits, detected, _ = classify_candidates(self.network, self.candidates, self.device, self.batch_size)
        names = ("temperature", "detector_weight", "bias")
        fitted = dict(zip(names, fit_calibration(logits, detected, labels), strict=True))
        for name, value in fitted.items():
            self.network.get_buffer(name).fill_(value)
        return {**fitted, **_record(reliability(calibrated(logits, detected, **fitted), labels, BINS))}
