"""Mask R-CNN that outlines microbleeds on a slice, seen with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from .attention_mil import residual_network


class Pyramid(BackboneWithFPN):
    """torchvision's feature pyramid, computed in bfloat16 where asked, and then in single precision again.

    Args:
        bfloat16: whether.
        args: of torchvision's.
    """

    def __init__(self, bfloat16: bool, *args: Any) -> None:
        super().__init__(*args)
        self.bfloat16 = bfloat16

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the features of each level."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bfloat16):
            levels = super().forward(x)
        return {name: level.float() for name, level in levels.items()}


class SliceMaskRCNN(MaskRCNN):
    """torchvision's Mask R-CNN for objects of a few voxels [1]_.

    Args:
        backbone: "resnet50", the default and the paper's, "resnet34" or "resnet18", with a feature pyramid.
        backbone_weights: file with the state of torchvision's classification network. Random when not given.
        out_channels: of the feature pyramid and of the convolutions on masks. Defaults to 256, as usual.
        image_size: pixels to which the shorter side of a slice is brought. Defaults to 384.
        anchor_sizes: sides of the square anchors in pixels of that size, one for each of the pyramid's levels of
            strides 4, 8, 16 and 32. Defaults to microbleeds of 2 to 10 mm on brains that fill the slice.
        bfloat16: compute the feature pyramid so, which is faster on processors that know it. Boxes stay in single
            precision: mixed precision of the whole network would round them to 4 pixels.
        kwargs: further arguments of :class:`torchvision.models.detection.MaskRCNN`.

    Raises:
        ValueError: no such backbone.
        OSError, RuntimeError: the file is missing, or is of another network.

    References:
        .. [1] Wang et al., BioMedical Engineering OnLine 2023. https://doi.org/10.1186/s12938-023-01164-1
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        backbone_weights: str | None = None,
        out_channels: int = 256,
        image_size: int = 384,
        anchor_sizes: Sequence[int] = (6, 10, 16, 28),
        bfloat16: bool = False,
        **kwargs: Any,
    ) -> None:
        body = residual_network(backbone, backbone_weights)
        channels = [body.inplanes // 2**k for k in (3, 2, 1)]  # of the first three stages
        names = {f"layer{stage}": str(stage) for stage in (1, 2, 3)}
        pyramid = Pyramid(bfloat16, body, names, channels, out_channels)
        super().__init__(
            pyramid,
            num_classes=2,
            min_size=image_size,
            max_size=2 * image_size,
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            rpn_anchor_generator=AnchorGenerator(
                tuple((size,) for size in anchor_sizes), ((1.0,),) * len(anchor_sizes)
            ),
            **kwargs,
        )
        self.roi_heads.mask_head = MaskRCNNHeads(out_channels, [out_channels] * 4, 1)
        self.roi_heads.mask_predictor = MaskRCNNPredictor(out_channels, out_channels, 2)
        self.to(memory_format=torch.channels_last)  # faster on CPUs
