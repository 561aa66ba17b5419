"""The networks of the cascade as one, so that one file holds the weights of both."""

import torch
from torch import nn
from torch.nn.functional import grid_sample

from .five_block import FiveBlockCNN
from .mean_of_folds import MeanOfFolds
from .residual import ResidualPatchClassifier
from .student import StudentClassifier
from .teacher import MultiTaskTeacher

Discriminator = StudentClassifier | MultiTaskTeacher | ResidualPatchClassifier | FiveBlockCNN | MeanOfFolds

PRIOR_SHAPE = (10, 24, 20)
"""Cells of a map over the brain, left and right alike: aside, from back to front, from bottom to top."""


def read_location_prior(location_prior: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Return what a map (A, B, C) of half a brain says at positions (N, 3), between its cells by trilinear weights.

    Args:
        location_prior: first axis from the middle to either side, second from back to front, third from bottom to top.
        position: from -1 to 1 along the axes of a scan in RAS, see :func:`csvd.inferers.relative_position`.
    """
    point = torch.cat([2 * position[:, :1].abs() - 1, position[:, 1:]], dim=1).to(location_prior)
    grid = point.flip(1)[None, None, None]  # its last axis first
    return grid_sample(location_prior[None, None], grid, padding_mode="border", align_corners=True).flatten()


def calibrated(
    logits: torch.Tensor,
    detected: torch.Tensor,
    temperature: torch.Tensor | float,
    detector_weight: torch.Tensor | float,
    bias: torch.Tensor | float,
) -> torch.Tensor:
    """Return the probability (N,) of a microbleed from what both steps of the cascade say of N candidates.

    Its log-odds are ``(l1 - l0) / temperature + detector_weight * logit(detected) + bias``.

    Args:
        logits: (N, 2) of the discriminator.
        detected: highest probability (N,) of the detector.
        temperature, detector_weight, bias: from :func:`csvd.metrics.fit_calibration`.
    """
    logits = logits.float()
    odds = (logits[:, 1] - logits[:, 0]) / temperature
    return (odds + detector_weight * detected.float().logit(eps=1e-6) + bias).sigmoid()


class CascadeNetwork(nn.Module):
    """Owns the detector of candidates and the discriminator of their patches.

    Called on a scan it is the detector; :class:`csvd.inferers.CascadeInferer` calls :meth:`discriminate`. Three buffers
    calibrate it, see :func:`calibrated`: ``temperature``, ``detector_weight`` and ``bias``, 1, 0 and 0 until they are
    fitted on validation data. A fourth, ``places``, is the location prior: log-odds by the location in the brain, 0
    until fitted, see :func:`read_location_prior`. Calcifications of pineal gland and choroid plexus look like
    microbleeds.

    Args:
        detector: logits (B, 2, H, W, D) of scans (B, C, H, W, D), for example :class:`csvd.networks.ShallowUNet`.
        discriminator: its ``classify`` returns logits (N, 2) of patches (N, C, h, w, d): a
            :class:`csvd.networks.StudentClassifier`, :class:`csvd.networks.MultiTaskTeacher`,
            :class:`csvd.networks.ResidualPatchClassifier`, :class:`csvd.networks.FiveBlockCNN` or
            :class:`csvd.networks.MeanOfFolds` of one of them.
    """

    temperature: torch.Tensor
    detector_weight: torch.Tensor
    bias: torch.Tensor
    places: torch.Tensor

    def __init__(self, detector: nn.Module, discriminator: Discriminator) -> None:
        super().__init__()
        self.detector = detector
        self.discriminator = discriminator
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("detector_weight", torch.zeros(()))
        self.register_buffer("bias", torch.zeros(()))
        self.register_buffer("places", torch.zeros(PRIOR_SHAPE))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the detector's logits (B, 2, H, W, D) of (B, C, H, W, D)."""
        return self.detector(image)

    def candidate_logits(self, patches: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Return logits (N, 2): the discriminator's, their mean over four mirrorings, with the location prior added.

        Args:
            patches: around candidates, (N, C, h, w, d).
            position: of the candidates in the scan, (N, 3), see :func:`csvd.inferers.relative_position`.
        """
        mirrored = [patches.flip(axes) for axes in ((), (2,), (3,), (2, 3))]
        logits = torch.stack([self.discriminator.classify(patch) for patch in mirrored]).mean(dim=0)
        odds = read_location_prior(self.places, position)
        return logits + torch.stack([torch.zeros_like(odds), odds], dim=1)

    def discriminate(self, patches: torch.Tensor, detected: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Return the calibrated probability (N,) that patches (N, C, h, w, d) are centred on a microbleed.

        Args:
            patches: around candidates.
            detected: highest probability (N,) of the detector in them.
            position: as for :meth:`candidate_logits`.
        """
        return calibrated(
            self.candidate_logits(patches, position), detected, self.temperature, self.detector_weight, self.bias
        )
