"""Calibration of the probabilities of candidates, and the thresholds to work at."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ..checks import check_one_of, check_positive
from .rates import pooled_rates

OPERATING_POINTS = ("best_f1", "sensitivity_90", "one_fp")
"""Highest F1; highest threshold that finds 90 % of the lesions; lowest with at most 1 false positive per scan."""


@dataclass(frozen=True)
class Reliability:
    """Predicted probability and observed frequency, in bins of equal width of its probability, empty ones left out.

    ``confidence`` mean probability, ``observed_frequency`` share of microbleeds, ``count`` candidates, (B,) each;
    ``ece`` the expected calibration error, the mean of ``|confidence - observed_frequency|`` over candidates [1]_.

    References:
        .. [1] Guo et al., On Calibration of Modern Neural Networks, ICML 2017. https://arxiv.org/abs/1706.04599
    """

    confidence: torch.Tensor
    observed_frequency: torch.Tensor
    count: torch.Tensor
    ece: float


def reliability(
    probability: torch.Tensor, label: torch.Tensor, bins: int = 15, weight: torch.Tensor | None = None
) -> Reliability:
    """Compare probabilities (N,) with labels (N,) of 0 and 1; candidates count by ``weight`` (N,), by default alike.

    Counted here, because :func:`monai.metrics.calibration.calibration_binning` knows no weights, nor does torchmetrics.

    Raises:
        ValueError: there is no candidate, or ``bins`` is not positive.
    """
    check_positive("bins", bins)
    if len(probability) == 0:
        raise ValueError("cannot measure the calibration of 0 candidates: give at least one.")
    values, truth = probability.double(), label.double()
    share = torch.ones_like(values) if weight is None else weight.double()
    bin_index = (values * bins).long().clamp(max=bins - 1)
    count, confidence, observed_frequency = (
        torch.bincount(bin_index, weights=share * x, minlength=bins) for x in (torch.ones_like(values), values, truth)
    )
    filled = count > 0
    count, confidence, observed_frequency = (
        count[filled],
        (confidence / count)[filled],
        (observed_frequency / count)[filled],
    )
    return Reliability(
        confidence,
        observed_frequency,
        count,
        float((count * (confidence - observed_frequency).abs()).sum() / count.sum()),
    )


def fit_calibration(logits: torch.Tensor, detected: torch.Tensor, label: torch.Tensor) -> tuple[float, float, float]:
    """Return temperature, weight of the detector and bias under which the labels are most likely.

    Platt scaling [1]_ of the log-odds ``(l1 - l0) / temperature + weight * logit(detected) + bias``: the temperature
    makes the discriminator less or more sure, as in Guo et al. 2017; the weight lets the detector have its say; the
    bias corrects for candidates that were drawn for training in other proportions than those of a scan.

    Args:
        logits: (N, 2) of the discriminator.
        detected: highest probability (N,) of the detector.
        label: (N,) of 0 and 1.

    Raises:
        ValueError: there is no candidate of one of the classes.

    References:
        .. [1] Platt, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers, 1999.
    """
    temperature, (weight,), bias = _most_likely(
        logits[:, 1] - logits[:, 0], detected.double().logit(eps=1e-6)[:, None], label, torch.ones(len(label))
    )
    return temperature, weight, bias


def fit_platt(odds: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> tuple[float, float]:
    """Return temperature and bias, of ``odds / temperature + bias``, under which the labels are most likely.

    Args:
        odds: log-odds (N,) of candidates.
        label: (N,) of 0 and 1.
        weight: of each candidate, (N,).

    Raises:
        ValueError: there is no candidate of one of the classes.
    """
    temperature, _, bias = _most_likely(odds, torch.zeros(len(odds), 0), label, weight)
    return temperature, bias


def _most_likely(
    odds: torch.Tensor, others: torch.Tensor, label: torch.Tensor, weight: torch.Tensor
) -> tuple[float, list[float], float]:
    """Return temperature, coefficients of ``others`` (N, K) and bias under which labels (N,) are most likely.

    Where the search diverges, as it may with candidates that are nearly alike, these are 1, 0 and 0.
    """
    if set(label.unique().tolist()) != {0, 1}:
        raise ValueError(f"cannot calibrate on candidates of the classes {label.unique().tolist()}: needs both.")
    odds, others, label, weight = odds.double(), others.double(), label.double(), weight.double()
    fitted = torch.zeros(2 + others.shape[1], dtype=torch.float64, requires_grad=True)  # the first: log temperature
    optimizer = torch.optim.LBFGS([fitted], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        confidence = odds / fitted[0].exp() + others @ fitted[1:-1] + fitted[-1]
        loss = binary_cross_entropy_with_logits(confidence, label, weight=weight)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    if not fitted.isfinite().all():
        return 1.0, [0.0] * others.shape[1], 0.0
    return fitted[0].exp().item(), fitted[1:-1].tolist(), fitted[-1].item()


def operating_thresholds(counts: torch.Tensor, thresholds: torch.Tensor) -> dict[str, float]:
    """Return a threshold for each of :data:`OPERATING_POINTS`, chosen on subjects with known lesions.

    Where no threshold fulfils a point, that of "sensitivity_90" finds 90 % of the lesions that any threshold finds,
    and that of "one_fp" has the fewest false positives; of equal ones the highest is taken.

    Args:
        counts: (S, T, 4) from :class:`csvd.metrics.FROCMetric`.
        thresholds: (T,).

    Raises:
        ValueError: the subjects have no lesion.
    """
    if counts[..., 0].sum() == 0:
        raise ValueError("cannot choose a threshold on subjects without lesions: add some that have.")
    order = thresholds.argsort(descending=True)
    thresholds = thresholds[order]
    rates = pooled_rates(counts[:, order].transpose(0, 1))
    f1, tpr, fps = rates["f1"].nan_to_num(0), rates["tpr"], rates["fps_per_subject"]
    most = float(tpr.max())
    found = tpr >= (0.9 if most >= 0.9 else 0.9 * most)
    clean = fps <= max(1.0, float(fps.min()))
    best = {
        "best_f1": int(f1.argmax()),
        "sensitivity_90": int(found.int().argmax()),
        "one_fp": int(torch.where(clean, tpr, -1).argmax()),
    }
    return {name: float(thresholds[index]) for name, index in best.items()}


def operating_threshold(
    path: str | os.PathLike[str], name: str, contrast: str = "dark", sequence: str | None = None
) -> float:
    """Return the threshold of an operating point that :class:`csvd.engines.Calibration` wrote.

    Args:
        path: the JSON.
        name: one of :data:`OPERATING_POINTS`.
        contrast: of the scan, whose own points are taken where there are any.
        sequence: of the scan, such as "SWI", whose own points go before those of its contrast.

    Raises:
        ValueError: ``name`` is none of them.
        FileNotFoundError: there is no such file.
    """
    check_one_of("operating_point", name, OPERATING_POINTS)
    return float(_record_of(path, contrast, sequence)["operating_points"][name]["threshold"])


def kind_calibration(
    path: str | os.PathLike[str], contrast: str = "dark", sequence: str | None = None
) -> tuple[float, float]:
    """Return temperature and bias that a kind of scan has on top of those of the network, 1 and 0 where it has none.

    Its probabilities are the sigmoid of ``odds / temperature + bias``, where the odds are the network's log-odds. Its
    operating points are thresholds of these.

    Args:
        path: the JSON that :class:`csvd.engines.PatchCalibration` wrote.
        contrast, sequence: of the scan, see :func:`operating_threshold`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    own = _record_of(path, contrast, sequence).get("calibration", {"temperature": 1, "bias": 0})
    return float(own["temperature"]), float(own["bias"])


def _record_of(path: str | os.PathLike[str], contrast: str, sequence: str | None) -> dict[str, Any]:
    """Return what the JSON says of a sequence, else of a contrast, else of all scans."""
    record: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return record.get("sequences", {}).get(sequence) or record.get("contrasts", {}).get(contrast, record)
