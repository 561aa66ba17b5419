"""The networks of the cascade as one, so that one file holds the weights of both."""

import torch
from torch import nn

from .student import StudentClassifier
from .teacher import MultiTaskTeacher


def calibrated(logits: torch.Tensor, temperature: torch.Tensor | float, bias: torch.Tensor | float) -> torch.Tensor:
    """Return the probability (N,) of class 1 of logits (N, 2), of log-odds ``(l1 - l0) / temperature + bias``."""
    logits = logits.float()
    return ((logits[:, 1] - logits[:, 0]) / temperature + bias).sigmoid()


class CascadeNetwork(nn.Module):
    """Owns the detector of candidates and the discriminator of their patches.

    Called on a scan it is the detector; :class:`csvd.inferers.CascadeInferer` calls :meth:`discriminate`. Two buffers
    calibrate the discriminator, see :func:`calibrated`: ``temperature`` and ``bias``, 1 and 0 until they are fitted on
    validation data.

    Args:
        detector: logits (B, 2, H, W, D) of scans (B, C, H, W, D), for example :class:`csvd.networks.ShallowUNet`.
        discriminator: its ``classify`` returns logits (N, 2) of patches (N, C, h, w, d): a
            :class:`csvd.networks.StudentClassifier` or :class:`csvd.networks.MultiTaskTeacher`.
    """

    temperature: torch.Tensor
    bias: torch.Tensor

    def __init__(self, detector: nn.Module, discriminator: StudentClassifier | MultiTaskTeacher) -> None:
        super().__init__()
        self.detector = detector
        self.discriminator = discriminator
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the detector's logits (B, 2, H, W, D) of (B, C, H, W, D)."""
        return self.detector(image)

    def discriminate(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the calibrated probability (N,) that patches (N, C, h, w, d) are centred on a microbleed."""
        return calibrated(self.discriminator.classify(patches), self.temperature, self.bias)
