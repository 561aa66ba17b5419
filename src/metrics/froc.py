"""Free-response ROC: true positive rate against false positives per subject as the threshold falls."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .lesion_metric import LesionCounts
from .rates import pooled_rates


@dataclass(frozen=True)
class FROC:
    """FROC curve, one point a threshold, and the rule that matched lesions.

    A point is what a user of that threshold gets, so clusters that merge as the threshold falls are counted as merged:
    the curve need not be monotone, and :func:`monai.metrics.compute_froc_score`, which interpolates one, does not fit.
    """

    thresholds: torch.Tensor
    tpr: torch.Tensor
    fps: torch.Tensor
    match: str


def froc(counts: torch.Tensor, thresholds: Sequence[float], match: str) -> FROC:
    """Return the FROC curve of S subjects, pooled, from their counts (S, T, 4) at T thresholds."""
    rates = pooled_rates(counts.transpose(0, 1))
    return FROC(torch.tensor(thresholds, dtype=torch.float64), rates["tpr"], rates["fps_per_subject"], match)


def tpr_at_fps(curve: FROC, max_fps: float) -> float:
    """Return the best TPR of the points with at most ``max_fps`` false positives per subject, 0 if there is none."""
    tpr = curve.tpr[curve.fps <= max_fps]
    return float(tpr.max()) if len(tpr) else 0.0


class FROCMetric(LesionCounts):
    """Area of the FROC curve as one number to choose weights by: the mean TPR at several rates of false positives.

    When no subject has a lesion, it is minus the false positives per subject, averaged over the thresholds, with a
    warning: never above 0, and higher for fewer.

    Args:
        thresholds: probabilities of the points. Defaults to 40, evenly spaced in log-odds from 0.0003 to 0.993,
            because a network's probabilities crowd at both ends.
        match: "overlap" or "distance", see :func:`csvd.metrics.count_lesions`. Defaults to "distance", because by
            overlap a network that marks the whole brain would win.
        max_distance_mm: for "distance".
        max_fps: false positives per subject at which the TPR is read, see :func:`tpr_at_fps`. Defaults to the powers
            of 2 up to 128, the order of what Sundaresan et al. 2023 allow the candidate step.

    Raises:
        ValueError: as in :class:`LesionCounts`.
    """

    def __init__(
        self,
        thresholds: Sequence[float] | None = None,
        match: str = "distance",
        max_distance_mm: float = 5.0,
        max_fps: Sequence[float] = (1, 2, 4, 8, 16, 32, 64, 128),
    ) -> None:
        if thresholds is None:
            thresholds = torch.linspace(-8, 5, 40).sigmoid().tolist()
        super().__init__(thresholds, match, max_distance_mm)
        self.max_fps = tuple(max_fps)

    def curve(self) -> FROC:
        """Return the curve of all subjects so far."""
        return froc(self.counts(), self.thresholds, self.match)

    def aggregate(self) -> torch.Tensor:
        """Return the mean TPR of all subjects so far, or what stands in for it, as a scalar tensor."""
        curve = self.curve()
        if not self.counts()[..., 0].any():
            return self.without_lesions(curve.fps.mean())
        return torch.tensor([tpr_at_fps(curve, max_fps) for max_fps in self.max_fps]).mean()
