"""Finder of microbleeds and classifier as one, so that one file holds the weights of both."""

import torch
from torch import nn

from .attention_mil import AttentionMIL
from .cascade import CascadeNetwork
from .slice_mask_rcnn import SliceMaskRCNN


class SubtypeNetwork(nn.Module):
    """Owns the classifier of small-vessel-disease subtypes, and the cascade that finds microbleeds for it.

    Called on slices it is the classifier; :class:`csvd.inferers.SubtypeInferer` calls the cascade for scans that have
    no microbleed mask.

    Args:
        classifier: logits (B, classes) of slices and their microbleeds (B, 2, H, W, D), age and sex.
        cascade: finds microbleeds in scans (B, C, H, W, D); Mask R-CNN can take its place.
    """

    def __init__(self, classifier: AttentionMIL, cascade: CascadeNetwork | SliceMaskRCNN) -> None:
        super().__init__()
        self.classifier = classifier
        self.cascade = cascade

    def forward(self, image: torch.Tensor, covariates: torch.Tensor | None = None) -> torch.Tensor:
        """Return the classifier's logits (B, classes) of (B, 2, H, W, D), see :class:`csvd.networks.AttentionMIL`."""
        return self.classifier(image, covariates)
