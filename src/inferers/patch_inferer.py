"""The detector of dark foci as MONAI's evaluator calls it: maps of a scan, from its image and its brain mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor

from ..checks import check_between
from ..networks.patch_ensemble import PatchEnsemble
from ..planes import Turn
from .patch_detector import Detections, PatchDetector

LOWEST = 0.01
"""Probability from which a candidate is drawn; below it there are a thousand a scan."""


class PatchInferer(Inferer):
    """Maps (B, 2, H, W, D) of scans (B, 2, H, W, D) whose channels are image and mask, in any orientation.

    The image comes from :class:`csvd.transforms.DarkContrastd`. The first channel of the result is the response of the
    Hessian, scaled to 0..1, the second the probability that a candidate is a microbleed: in one voxel a candidate, 0
    elsewhere. No candidate touches another, so that connected components tell them apart;
    :class:`csvd.transforms.LesionOutlined` finds what belongs to each.

    Args:
        detector: finds and classifies candidates; :class:`PatchDetector` by default.
        lowest: probability from which a candidate is drawn.

    Raises:
        ValueError: ``lowest`` lies outside [0, 1].
    """

    def __init__(self, detector: PatchDetector | None = None, lowest: float = LOWEST) -> None:
        super().__init__()
        check_between("lowest", lowest, 0, 1)
        self.detector = detector or PatchDetector()
        self.lowest = lowest

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the maps of a batch, on the device of the inputs."""
        affines = _affines(inputs)
        scans = convert_to_tensor(inputs, track_meta=False)
        maps = [self._maps(scan, affine, network) for scan, affine in zip(scans, affines, strict=True)]
        return convert_to_dst_type(torch.stack(maps), inputs, dtype=torch.float32)[0]

    def candidates(self, scan: torch.Tensor, network: Any) -> tuple[Detections, Turn]:
        """Return all candidates of a scan (2, H, W, D), and how it was turned: their points are voxels after that."""
        turn = Turn.of(scan)
        return self._detect(turn.there(_plain(scan)), turn, network), turn

    def _maps(self, scan: torch.Tensor, affine: torch.Tensor, network: Any) -> torch.Tensor:
        turn = Turn(affine)
        turned = turn.there(_plain(scan))
        found = self._detect(turned, turn, network)
        chosen = found.probability >= self.lowest
        found = Detections(found.points[chosen], found.probability[chosen], found.response[chosen])
        return turn.back(draw_detections(found, turned.shape[1:]))

    def _detect(self, turned: torch.Tensor, turn: Turn, network: Any) -> Detections:
        image, mask = turned
        return self.detector(image, mask > 0, turn.spacing, cast(PatchEnsemble, network))


def _plain(scan: torch.Tensor) -> torch.Tensor:
    """Return a scan on the CPU, without what it says of itself."""
    return convert_to_tensor(scan, track_meta=False).float().cpu()


def draw_detections(found: Detections, shape: Sequence[int]) -> torch.Tensor:
    """Return response and probability, (2, H, W, D), in the voxel of each candidate, which its outline starts from.

    Args:
        found: candidates, the surest first. One beside a surer one is not drawn, so that each is a cluster.
        shape: of the scan, (H, W, D).
    """
    maps = torch.zeros(2, *shape)
    strength = (found.response / 0.5).clamp(0.01, 1)
    for point, response, probability in zip(found.points.tolist(), strength, found.probability, strict=True):
        around = tuple(slice(max(0, p - 1), p + 2) for p in point)
        if not maps[0][around].any():
            maps[0][tuple(point)], maps[1][tuple(point)] = response, probability
    return maps


def _affines(inputs: torch.Tensor) -> torch.Tensor:
    """Return the affine (4, 4) of each scan of a batch; voxels of 1 mm where there is none."""
    if not isinstance(inputs, MetaTensor):
        return torch.eye(4).expand(len(inputs), 4, 4)
    affine = inputs.affine
    return affine.expand(len(inputs), 4, 4) if affine.ndim == 2 else affine
