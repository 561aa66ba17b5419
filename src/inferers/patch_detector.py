"""From a scan on its own grid to microbleeds: dark foci, and what the classifier says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..checks import check_between, check_positive
from ..networks.patch_ensemble import MIRRORS, PatchEnsemble
from ..transforms.slices.slice_context import context_patches, fine_grid, to_fine
from .foci import find_foci

UNSURE = (0.01, 0.99)
"""Probabilities between which the mean over mirrorings is taken; further mirrorings do not move the others across."""


@dataclass(frozen=True)
class Detections:
    """Candidates of a scan, the surest first.

    Args:
        points: voxels of the scan, (N, 3) int64.
        probability: of a microbleed, (N,).
        response: of the Hessian, (N,).
    """

    points: torch.Tensor
    probability: torch.Tensor
    response: torch.Tensor


class PatchDetector:
    """Finds microbleeds on a scan whose slices lie along the last axis.

    Args:
        threshold: lowest response of a candidate, see :func:`find_foci`.
        most: candidates of a scan.
        batch_size: patches at a time.
        apart_mm: of two microbleeds, in plane and, unless slices are farther apart, through plane. The surer is kept.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(self, threshold: float = 0.04, most: int = 1500, batch_size: int = 128, apart_mm: float = 3.0) -> None:
        check_between("threshold", threshold, 0, 10)
        for name, value in {"most": most, "batch_size": batch_size, "apart_mm": apart_mm}.items():
            check_positive(name, value)
        self.threshold, self.most, self.batch_size, self.apart_mm = threshold, most, batch_size, apart_mm

    @torch.inference_mode()
    def __call__(
        self, image: torch.Tensor, mask: torch.Tensor, spacing_mm: Sequence[float], network: PatchEnsemble
    ) -> Detections:
        """Return the candidates of a scan, none within ``apart_mm`` of a surer one.

        Args:
            image: (H, W, D), from :func:`csvd.transforms.intensity.dark_contrast`, on the CPU.
            mask: brain, (H, W, D) bool, from :func:`csvd.transforms.brain.close_mask`.
            spacing_mm: of the voxels.
            network: gives the probabilities, on any device.
        """
        rows, columns, slices = (float(mm) for mm in spacing_mm)
        foci = find_foci(image, mask, (rows, columns, slices), self.threshold, self.most)
        fine = fine_grid(image, (rows, columns))
        odds = self.classify(fine, to_fine(foci.points, image.shape, fine.shape), slices, network)
        probability = odds.sigmoid()
        order = probability.argsort(descending=True)
        points, probability, response = foci.points[order], probability[order], foci.response[order]
        kept = self._apart(points, (rows, columns, slices))
        return Detections(points[kept], probability[kept], response[kept])

    def classify(
        self, fine: torch.Tensor, points: torch.Tensor, spacing_mm: float, network: PatchEnsemble
    ) -> torch.Tensor:
        """Return calibrated log-odds (N,), on the CPU, of points of a scan on :func:`csvd.transforms.fine_grid`."""
        device = next((weights.device for weights in network.parameters()), fine.device)
        results = []
        # Points of the same slice share their means.
        order = points[:, 2].argsort(stable=True)
        for batch in points[order].split(self.batch_size):
            # Channels last: pooling is several times as fast on a CPU.
            patches = context_patches(fine, batch, spacing_mm).to(device).contiguous(memory_format=torch.channels_last)
            odds = network.quick_odds(patches)
            probability = network.calibrate(odds).sigmoid()
            unsure = ((probability > UNSURE[0]) & (probability < UNSURE[1])).nonzero()[:, 0]
            if len(unsure):
                rest = len(MIRRORS) - 1
                odds[unsure] = (odds[unsure] + rest * network.mirrored_odds(patches[unsure], first=1)) / (rest + 1)
            results.append(network.calibrate(odds).float().cpu())
        found = torch.empty(len(points))
        if results:
            found[order] = torch.cat(results)
        return found

    def _apart(self, points: torch.Tensor, spacing_mm: tuple[float, float, float]) -> torch.Tensor:
        """Return the indices of points (N, 3), the surest first, that lie in the neighbourhood of no surer one."""
        scale = torch.tensor(spacing_mm)
        depth = max(self.apart_mm, spacing_mm[2] * 1.01)
        left = torch.ones(len(points), dtype=torch.bool)
        kept = []
        for index in range(len(points)):
            if not left[index]:
                continue
            kept.append(index)
            offset = (points - points[index]) * scale
            left &= ~((offset[:, :2].norm(dim=1) <= self.apart_mm) & (offset[:, 2].abs() <= depth))
        return torch.tensor(kept, dtype=torch.long)
