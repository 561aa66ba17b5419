"""Leave out what a classifier may have to do without: the microbleeds, or age and sex."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.transforms import RandomizableTransform
from monai.utils import TransformBackends

from ...checks import check_between


class RandDropInputsd(RandomizableTransform):
    """Empty the microbleeds' channel, and forget the covariates, each with a probability of its own.

    In training it prepares a classifier for subjects of whom not all is known; with a probability of 1 it measures what
    an input brings.

    Args:
        image_key: slices, (C, H, W, D), of which the last channel has the microbleeds.
        covariates_key: (K,); NaN is what is not known.
        lesions: probability of emptying the microbleeds. Defaults to 0.
        covariates: probability of forgetting the covariates. Defaults to 0.

    Raises:
        ValueError: a probability lies outside [0, 1].
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        image_key: Hashable = "image",
        covariates_key: Hashable = "covariates",
        lesions: float = 0,
        covariates: float = 0,
    ) -> None:
        super().__init__()
        check_between("lesions", lesions, 0, 1)
        check_between("covariates", covariates, 0, 1)
        self.image_key = image_key
        self.covariates_key = covariates_key
        self.probabilities = (lesions, covariates)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return the item, changed or not."""
        out = dict(data)
        drop_lesions, drop_covariates = self.R.random(2) < self.probabilities
        if drop_lesions:
            image = out[self.image_key]
            out[self.image_key] = torch.cat([image[:-1], torch.zeros_like(image[-1:])])
        if drop_covariates:
            out[self.covariates_key] = torch.full_like(out[self.covariates_key], torch.nan)
        return out
