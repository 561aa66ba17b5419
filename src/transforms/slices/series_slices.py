"""Slices of a series, as input of the sequence gate."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends
from torch.nn.functional import grid_sample

from ...checks import check_between, check_positive

MOST_VALUES = 1_000_000  # torch.quantile takes 16 times as many
THICK = 1.3  # a voxel this much longer than the others shows the slices as they were acquired


def series_slices(
    image: torch.Tensor, spacing: torch.Tensor, count: int = 12, size: int = 224, share: float = 0.6
) -> torch.Tensor:
    """Return slices (1, size, size, count) from the middle of a volume (1, X, Y, Z) in RAS, as acquired.

    The longest voxel edge is through the slices; where none is, slices are axial. A slice is scaled, in mm, so that its
    longer side fills the square; its 1st and 99th percentile become 0 and 1, and outside of it is what is darkest in
    the volume, its 1st percentile.

    Args:
        image: finite values.
        spacing: (3,) voxel size in mm.
        count: slices, evenly apart.
        size: pixels.
        share: of the volume's depth from which slices are taken, around its middle.
    """
    longest = int(spacing.argmax())
    axis = longest if spacing[longest] > THICK * spacing.median() else 2
    darkest = torch.quantile(_some(image), 0.01)
    depth = image.shape[1 + axis]
    positions = torch.linspace(0.5 - share / 2, 0.5 + share / 2, count) * (depth - 1)
    stack = (image - darkest).clamp(min=0)[0].movedim(axis, 0)[positions.round().long()][:, None]
    in_plane = [float(h) for k, h in enumerate(spacing) if k != axis]
    extent = torch.tensor([n * h for n, h in zip(stack.shape[2:], in_plane, strict=True)])
    line = torch.linspace(-1, 1, size)
    grid = torch.stack(torch.meshgrid(*(line * extent.max() / side for side in extent), indexing="ij"), dim=-1)
    grid = grid.flip(-1).expand(count, -1, -1, -1)
    slices = grid_sample(stack, grid, padding_mode="zeros", align_corners=False)
    low, high = torch.quantile(slices.flatten(1), torch.tensor([0.01, 0.99]), dim=1)[:, :, None, None, None]
    return ((slices - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).movedim(0, -1)


def _some(image: torch.Tensor) -> torch.Tensor:
    """Return values of an image, not more than ``torch.quantile`` takes."""
    values = image.flatten()
    return values[:: max(1, -(-len(values) // MOST_VALUES))]


class SeriesSlices(Transform):
    """Slices of a series, see :func:`series_slices`, from a meta tensor, which knows its spacing.

    Args:
        count, size, share: as there.

    Raises:
        ValueError: ``count`` or ``size`` is not positive, or ``share`` lies outside [0, 1].
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, count: int = 12, size: int = 224, share: float = 0.6) -> None:
        check_positive("count", count)
        check_positive("size", size)
        check_between("share", share, 0, 1)
        self.count, self.size, self.share = count, size, share

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Map (1, X, Y, Z) to (1, size, size, count), which keeps the name of the file, but has no place in space."""
        spacing = torch.as_tensor(image.pixdim, dtype=torch.float32)
        slices = series_slices(image.as_tensor().float(), spacing, self.count, self.size, self.share)
        return MetaTensor(slices, meta={"filename_or_obj": image.meta.get("filename_or_obj", "")})


class SeriesSlicesd(MapTransform):
    """Dictionary version of :class:`SeriesSlices`: same arguments, plus the keys to act on."""

    backend = SeriesSlices.backend

    def __init__(
        self,
        keys: KeysCollection,
        count: int = 12,
        size: int = 224,
        share: float = 0.6,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slices = SeriesSlices(count, size, share)

    def __call__(self, data: Mapping[Hashable, MetaTensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the keys as slices."""
        result: dict[Hashable, torch.Tensor] = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.slices(data[key])
        return result
