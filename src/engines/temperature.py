"""Last step of a classifier's training: one temperature, fitted on the validation subjects, in its last layer."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from monai.data import DataLoader
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from ..networks import SubtypeNetwork
from .subtype import prepare_subjects
from .weights import save_weights

logger = logging.getLogger(__name__)

BOUNDS = (-2.3, 2.3)
"""Natural logarithm of the temperature: a tenth to ten."""
FEWEST = 20
"""Of fewer validation scans the temperature would be that of a few subjects."""


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the temperature by which logits (N, C) are divided for the labels (N,) to be likeliest [1]_.

    References:
        .. [1] Guo et al., On Calibration of Modern Neural Networks, ICML 2017. https://arxiv.org/abs/1706.04599
    """
    scores, truth = logits.double(), labels.long()
    found = minimize_scalar(
        lambda log: float(cross_entropy(scores / torch.tensor(log).exp(), truth)), bounds=BOUNDS, method="bounded"
    )
    return float(torch.tensor(found.x).exp())


class Temperature:
    """Step that divides the classifier's logits by the temperature that fits the validation subjects.

    Its last layer takes the temperature in, which is why the weights have no further entry.

    Args:
        network: trained.
        dataloader: of the validation subjects.
        path: file that gets the weights.
        device: of the network.
    """

    def __init__(self, network: SubtypeNetwork, dataloader: DataLoader, path: str, device: torch.device) -> None:
        self.network = network
        self.dataloader = dataloader
        self.path = Path(path)
        self.device = device

    def run(self) -> None:
        """Fit, and write the weights; with fewer than :data:`FEWEST` validation scans nothing changes."""
        self.network.eval()
        logits, labels = [], []
        with torch.inference_mode():
            for batch in self.dataloader:
                image, label, covariates, _ = prepare_subjects(batch, self.device)
                if label is not None:
                    logits.append(self.network(image, *covariates).float().cpu())
                    labels.append(label.cpu())
        if len(labels) < FEWEST:
            logger.warning(
                "%d validation scans have a class, a temperature needs %d: probabilities stay as they are",
                len(labels),
                FEWEST,
            )
            return
        temperature = fit_temperature(torch.cat(logits), torch.cat(labels))
        logger.info("temperature %.3f, fitted on %d validation scans", temperature, len(labels))
        with torch.no_grad():
            for parameter in self.network.classifier.classify.parameters():
                parameter.div_(temperature)
        save_weights(self.network, self.path)
