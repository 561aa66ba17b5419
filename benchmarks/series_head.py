"""The last layer of the sequence gate, trained on features that its other layers gave once."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from series_real import Known

from csvd.sequences import GROUPS, SEQUENCES

PULLS = (0.01, 0.03, 0.1, 0.3)
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
    """Return the weights (S,), 1 in all: the same for each group of sequences, and for real and simulated kinds in it.

    A series for which several groups are right counts for that of its first class.
    """
    keys = [(GROUPS[one.series.classes[0]], one.real, one.series.kind) for one in seen]
    counts = Counter(keys)
    kinds = Counter(group for group, *_ in counts)
    return torch.tensor([1 / (len(kinds) * kinds[key[0]] * counts[key]) for key in keys])


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


def folds_of(seen: Sequence[Seen], folds: int) -> list[set[str]]:
    """Part groups of people into folds of about as many real, and of about as many simulated series."""
    parts: list[set[str]] = [set() for _ in range(folds)]
    for real in (True, False):
        counts = Counter(one.series.people for one in seen if one.real == real)
        sizes = [0] * folds
        for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            least = sizes.index(min(sizes))
            parts[least].add(name)
            sizes[least] += number
    return [part for part in parts if part]


def choose_and_fit(start: torch.nn.Linear, seen: Sequence[Seen], folds: int) -> tuple[torch.nn.Linear, float]:
    """Return a layer trained on all series, with the pull that is best on people left out of inner trainings."""
    losses = dict.fromkeys(PULLS, 0.0)
    for part in folds_of(seen, folds):
        inside, outside = apart(seen, part)
        for pull in PULLS:
            losses[pull] += series_loss(fit_head(start, inside, pull), outside)
    best = min(losses, key=losses.__getitem__)
    return fit_head(start, seen, best), best


def apart(seen: Sequence[Seen], people: Collection[str]) -> tuple[list[Seen], list[Seen]]:
    """Return the series of all others, and those of these people."""
    inside = [one for one in seen if one.series.people not in people]
    return inside, [one for one in seen if one.series.people in people]


def probabilities(head: torch.nn.Linear, features: torch.Tensor) -> torch.Tensor:
    """Return the probabilities (C, N) of slices, as :class:`csvd.inferers.SeriesInferer` does of a series."""
    with torch.inference_mode():
        return head(features).softmax(dim=1).T
