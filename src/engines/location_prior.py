"""Location prior of the cascade: where in the brain candidates are rarely microbleeds."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ..checks import check_positive
from ..inferers import CandidateDataset
from ..networks import CascadeNetwork, read_location_prior
from .calibration import classify_candidates
from .weights import load_weights, save_weights

logger = logging.getLogger(__name__)


class LocationPrior:
    """Fit the location prior of a cascade whose networks are trained, and save it with them.

    Logistic regression of the candidates' labels on the logits of discriminator and detector and on the prior, whose
    cells are held near 0, so that where there were few candidates the prior changes nothing. Calibrate afterwards.

    Args:
        network: its ``places`` are set.
        candidates: of scans that the discriminator did not learn from, or it is surer of them than of others; with
            many microbleeds and mimics. Patches of the size that it takes.
        path: file of the weights, read and written.
        device: where the network is.
        ridge: weight of the sum of the squared cells, against the sum over candidates of the cross-entropy.

    Raises:
        ValueError: ``ridge`` is not positive.
    """

    def __init__(
        self,
        network: CascadeNetwork,
        candidates: CandidateDataset,
        path: str,
        device: torch.device | str = "cpu",
        ridge: float = 0.1,
    ) -> None:
        check_positive("ridge", ridge)
        self.network = network
        self.candidates = candidates
        self.path = Path(path)
        self.device = torch.device(device)
        self.ridge = ridge

    def run(self) -> None:
        """Fit and write.

        Raises:
            FileNotFoundError: there are no weights.
            ValueError: there is no candidate of one of the classes.
        """
        load_weights(self.network, self.path)
        self.network.places.zero_()
        label = self.candidates.labels
        if label.unique().tolist() != [0, 1]:
            raise ValueError(
                f"cannot fit a location prior on candidates of the classes {label.unique().tolist()}: needs both."
            )
        logits, detected, position = classify_candidates(self.network, self.candidates, self.device)
        self.network.places.copy_(self._fit(logits, detected, position, label))
        save_weights(self.network, self.path)
        logger.info("saved %s", self.path)

    def _fit(
        self, logits: torch.Tensor, detected: torch.Tensor, position: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        odds = logits[:, 1] - logits[:, 0]
        suspicion = detected.logit(eps=1e-6)
        prior = torch.zeros(self.network.places.shape, requires_grad=True)
        weights = torch.tensor([1.0, 0.0, 0.0], requires_grad=True)
        optimizer = torch.optim.LBFGS([prior, weights], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            log_odds = weights[0] * odds + weights[1] * suspicion + weights[2] + read_location_prior(prior, position)
            loss = binary_cross_entropy_with_logits(log_odds, label.float(), reduction="sum")
            loss = loss + self.ridge * prior.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        return prior.detach() / weights[0].detach()  # beside the discriminator's log-odds
