"""What the classifier's trainings need besides MONAI's own: batches, statistics, predictions on disk."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

import torch
from ignite.engine import Engine, Events

from ..io import ReadSubjectd
from ..lesions.burden import UNKNOWN
from ..networks import AttentionMIL
from ..transforms import no_subtype
from .table_writer import TableWriter
from .weights import load_weights


def prepare_subjects(
    batch: Mapping[str, torch.Tensor],
    device: torch.device | str | None = None,
    non_blocking: bool = False,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None, tuple[torch.Tensor], dict]:
    """Return image and class of a batch on the device, and the covariates, which the network is called with."""

    def moved(value: torch.Tensor) -> torch.Tensor:
        return value.to(device=device, non_blocking=non_blocking, **kwargs)

    subtype = batch.get("subtype")
    return moved(batch["image"]), None if subtype is None else moved(subtype), (moved(batch["covariates"]),), {}


class CovariateStatistics:
    """Tell classifiers, when a training starts, age and sex of its subjects, which stand in for what is not known.

    Args:
        classifiers: the one that is trained, and its average; each gets mean and standard deviation of age, and the
            share of men.
        items: of the training data.
        classes: names of the subtypes.
    """

    def __init__(
        self, classifiers: Sequence[AttentionMIL], items: Sequence[Mapping[Hashable, Any]], classes: Sequence[str]
    ) -> None:
        self.classifiers = classifiers
        self.items = items
        self.read = ReadSubjectd(classes)

    def attach(self, engine: Engine) -> None:
        """Count on ``STARTED``."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the buffers; those of a covariate that nobody has stay as they are."""
        age, sex = torch.stack([self.read(item)["covariates"] for item in self.items]).T
        age, sex = age[~age.isnan()], sex[~sex.isnan()]
        for classifier in self.classifiers:
            if len(age) > 1 and age.std() > 0:
                classifier.age_mean.copy_(age.mean())
                classifier.age_std.copy_(age.std())
            if len(sex):
                classifier.sex_mean.copy_(sex.mean())


class CascadeWeights:
    """Load the detection cascade's weights when a training starts.

    Args:
        network: the cascade.
        path: its weights, or those of a network that has it as ``cascade``.
    """

    def __init__(self, network: torch.nn.Module, path: str) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Load on ``STARTED``."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load.

        Raises:
            FileNotFoundError: there is no such file.
        """
        load_weights(self.network, self.path, prefix="cascade.")


class PredictionWriter(TableWriter):
    """Write the probabilities of all subjects of an evaluation, a row each, when it is complete.

    Columns: ``subject``, ``csvd``, the true class where there is one, a column a class with its probability,
    ``reason``, why no class applies, ``imputed``, what was not known of age and sex, and ``disagreement`` of an
    ensemble.

    Args:
        path: the table, ``.tsv``.
        classes: names of the subtypes.
        always: give the probabilities of subjects without microbleeds too, for experiments that hide them.
    """

    def __init__(self, path: str | os.PathLike[str], classes: Sequence[str], always: bool = False) -> None:
        super().__init__(path)
        self.classes = tuple(classes)
        self.always = always

    def collect(self, engine: Engine) -> None:
        """Take the subjects of a batch, whose outputs have the probabilities under ``pred``.

        The inputs have ``chance``, the probability that they have a microbleed.
        """
        batch, output = (cast(list[dict], items) for items in (engine.state.batch, engine.state.output))
        for item, result in zip(batch, output, strict=True):
            subtype = item.get("subtype")
            unknown = item["covariates"].isnan().tolist()
            reason = "" if self.always else no_subtype(float(item["chance"]))
            values = [UNKNOWN if reason else round(p, ndigits=4) for p in result["pred"].tolist()]
            row = {
                "subject": item.get("subject", len(self.rows)),
                "csvd": "" if subtype is None else self.classes[int(subtype)],
                **dict(zip(self.classes, values, strict=True)),
                "reason": reason,
                "imputed": " ".join(name for name, gone in zip(("age", "sex"), unknown, strict=True) if gone),
            }
            if "disagreement" in result:
                row["disagreement"] = round(float(result["disagreement"]), ndigits=4)
            self.rows.append(row)
