"""Lesion-wise rates as MONAI metrics."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric

from ..checks import check_between, check_one_of, check_positive
from .matching import MATCHES, count_lesions
from .rates import RATES, REDUCTIONS

logger = logging.getLogger(__name__)


class LesionCounts(CumulativeIterationMetric):
    """Gather the lesion counts of each subject at each threshold; :class:`LesionMetric` and ``FROCMetric`` reduce them.

    Called with probability maps and labels, both (B, 1, H, W, D) or lists of (1, H, W, D). Buffers a row (T, 4) a
    subject, so that it works across processes.

    Args:
        thresholds: T probabilities.
        match: "overlap" or "distance", see :func:`csvd.metrics.count_lesions`.
        max_distance_mm: for "distance".

    Raises:
        ValueError: ``match`` is neither, a threshold lies outside [0, 1], or ``max_distance_mm`` is not positive.
    """

    def __init__(self, thresholds: Sequence[float], match: str, max_distance_mm: float) -> None:
        super().__init__()
        check_one_of("match", match, MATCHES)
        check_positive("max_distance_mm", max_distance_mm)
        for threshold in thresholds:
            check_between("threshold", threshold, 0, 1)
        self.thresholds = tuple(thresholds)
        self.match = match
        self.max_distance_mm = max_distance_mm

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None:
            raise ValueError("cannot count lesions without labels: pass `y`.")
        pairs = zip(y_pred, y, strict=True)
        return torch.stack([count_lesions(*pair, self.thresholds, self.match, self.max_distance_mm) for pair in pairs])

    def counts(self) -> torch.Tensor:
        """Return the counts (S, T, 4) of all subjects so far, of all processes.

        Raises:
            ValueError: there was no subject yet.
        """
        counts = self.get_buffer()
        if counts is None:
            raise ValueError("cannot reduce the lesion counts of 0 subjects: call the metric first.")
        return counts

    def without_lesions(self, fps_per_subject: torch.Tensor) -> torch.Tensor:
        """Return what stands in for a rate of scans without lesions: minus the false positives, fewer are better."""
        logger.warning(
            "no lesions in these %d scans: %s is minus the false positives per scan, %.4g",
            len(self.counts()),
            type(self).__name__,
            fps_per_subject,
        )
        return -fps_per_subject


class LesionMetric(LesionCounts):
    """Cluster-wise TPR, false positives per subject, precision or F1 at one threshold; always a number.

    When no subject has a lesion, TPR, precision and F1 are minus the false positives per subject, with a warning, so
    that weights can be chosen all the same. Precision without detections is 0.

    In a config: ``{"_target_": "IgniteMetricHandler", "metric_fn": {"_target_": "csvd.metrics.LesionMetric", "metric":
    "tpr"}, "output_transform": ...}``.

    Args:
        metric: "tpr", "fps_per_subject" (the only one where lower is better), "precision" or "f1".
        match: "overlap" or "distance", see :func:`csvd.metrics.count_lesions`.
        threshold: lowest probability of a detection's voxels.
        reduction: "pooled" or "subject_median", see :func:`csvd.metrics.pooled_rates` and ``subject_medians``.
        max_distance_mm: for "distance".

    Raises:
        ValueError: an argument is none of these, or out of range.
    """

    def __init__(
        self,
        metric: str = "f1",
        match: str = "overlap",
        threshold: float = 0.5,
        reduction: str = "pooled",
        max_distance_mm: float = 5.0,
    ) -> None:
        check_one_of("metric", metric, RATES)
        check_one_of("reduction", reduction, REDUCTIONS)
        super().__init__((threshold,), match, max_distance_mm)
        self.metric = metric
        self.reduction = reduction

    def aggregate(self) -> torch.Tensor:
        """Return the rate of all subjects so far as a scalar tensor."""
        counts = self.counts()[:, 0]
        rates = REDUCTIONS[self.reduction](counts)
        if self.metric != "fps_per_subject" and not counts[:, 0].any():
            return self.without_lesions(rates["fps_per_subject"])
        return rates[self.metric].nan_to_num(0.0)
