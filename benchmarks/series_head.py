"""The last layer of the sequence gate, trained on features that its other layers gave once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from series_real import Known

from csvd.sequences import GROUPS, SEQUENCES

PULLS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Weights of the distance to the released layer, of which validation people choose."""
STEPS = 60


@dataclass(frozen=True)
class Seen:
    """A series and the features (N, F) of its slices."""

    series: Known
    features: torch.Tensor
    real: bool


def class_mask(series: Known) -> torch.Tensor:
    """Return (C,), true for the classes that are right."""
    return torch.tensor([name in series.classes for name in SEQUENCES])


def series_weights(seen: Sequence[Seen]) -> torch.Tensor:
    """Return the weights (S,): real and simulated series weigh the same in all, and so do kinds among them."""
    counts: dict[tuple[bool, str], int] = {}
    for one in seen:
        key = (one.real, one.series.kind)
        counts[key] = counts.get(key, 0) + 1
    kinds = {real: sum(key[0] == real for key in counts) for real in (False, True)}
    parts = sum(number > 0 for number in kinds.values())
    return torch.tensor([1 / (parts * kinds[one.real] * counts[one.real, one.series.kind]) for one in seen])


def loss_of(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return minus the log of the probability of all right classes together, (N,), of logits and masks (N, C)."""
    return logits.logsumexp(dim=1) - logits.masked_fill(~mask, -torch.inf).logsumexp(dim=1)


def fit_head(start: torch.nn.Linear, seen: Sequence[Seen], pull: float, steps: int = STEPS) -> torch.nn.Linear:
    """Return a last layer trained from ``start`` on all slices of series, by L-BFGS.

    Args:
        start: the released layer; the squared distance to it, times ``pull``, is added to the loss.
        seen: the series; slices of one share its weight.
        pull: in units of the loss.
        steps: of L-BFGS.
    """
    features = torch.cat([one.features for one in seen])
    counts = torch.tensor([len(one.features) for one in seen])
    mask = torch.stack([class_mask(one.series) for one in seen]).repeat_interleave(counts, dim=0)
    weights = (series_weights(seen) / counts).repeat_interleave(counts)
    head = torch.nn.Linear(start.in_features, start.out_features)
    head.load_state_dict(start.state_dict())
    old = [value.detach().clone() for value in start.parameters()]
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        far = sum(((new - before) ** 2).sum() for new, before in zip(head.parameters(), old, strict=True))
        loss = (weights * loss_of(head(features), mask)).sum() + pull * far
        loss.backward()
        return loss

    optimizer.step(closure)
    return head.eval()


def series_loss(head: torch.nn.Linear, seen: Sequence[Seen]) -> float:
    """Return the mean loss of series, each by the mean probability of its slices, weighted as in training."""
    with torch.inference_mode():
        mean = torch.stack([head(one.features).softmax(dim=1).mean(dim=0) for one in seen])
        mask = torch.stack([class_mask(one.series) for one in seen])
        losses = -(mean * mask).sum(dim=1).clamp(min=1e-6).log()
        return float((losses * series_weights(seen)).sum())


def folds_of(people: Sequence[str], folds: int) -> list[list[str]]:
    """Part groups of people, named once a series, into folds of about as many series; none is in two."""
    counts = {name: list(people).count(name) for name in people}
    parts: list[list[str]] = [[] for _ in range(min(folds, len(counts)))]
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        min(parts, key=lambda part: sum(counts[one] for one in part)).append(name)
    return parts


def choose_and_fit(start: torch.nn.Linear, seen: Sequence[Seen], folds: int) -> tuple[torch.nn.Linear, float]:
    """Return a layer trained on all series, with the pull that is best on real people left out of inner trainings."""
    people = folds_of([one.series.people for one in seen if one.real], folds)
    losses = {}
    for pull in PULLS:
        losses[pull] = 0.0
        for part in people:
            inside = [one for one in seen if one.series.people not in part]
            outside = [one for one in seen if one.series.people in part]
            losses[pull] += series_loss(fit_head(start, inside, pull), outside) / len(people)
    best = min(losses, key=losses.__getitem__)
    return fit_head(start, seen, best), best


def probabilities(head: torch.nn.Linear, features: torch.Tensor) -> torch.Tensor:
    """Return the probabilities (C, N) of slices, as :class:`csvd.inferers.SeriesInferer` does of a series."""
    with torch.inference_mode():
        return head(features).softmax(dim=1).T


def group_names() -> list[str]:
    """Return the groups of sequences in the order of the classes."""
    return list(dict.fromkeys(GROUPS[name] for name in SEQUENCES))
