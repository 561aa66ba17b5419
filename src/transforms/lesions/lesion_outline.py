"""Outlines of lesions around their cores, and what is measured of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor, ensure_tuple

from ...checks import InputError, check_one_channel, check_one_of, check_same_shape, describe
from ...lesions.outlines import Outlines, only
from ...planes import Turn, slice_axis
from ..intensity.contrast import CONTRASTS, item_contrast
from ._outline_drawing import outline_all
from ._outline_maps import apart, drawn, highest_of
from ._outline_rays import Volume
from ._outline_tracing import Tracer

APART_MM = 4.0
"""Within which detectors tell no cores apart: 3 mm of :class:`csvd.inferers.PatchDetector`, and 1 mm to a core."""


def outline_lesions(
    image: torch.Tensor, points: torch.Tensor, spacing: Sequence[float], contrast: str, mask: torch.Tensor | None = None
) -> Outlines:
    """Outline lesions at half contrast between core and local background, slice by slice, finer than a voxel.

    From each core, 24 rays go to where the image has half of the contrast to the background, the median of a ring of
    3 mm around the outline without what is no tissue. A ray ends before that at a saddle, where values rise again by
    three tenths of the contrast and three spreads of the background. A vessel that joins a lesion is cut, as no ray
    exceeds 1.6 times the median one. Holes up to 3 mm2 are filled.

    Two points on either side of a saddle are two lesions; two without one are one, and the first gives its number.
    A lesion behind a saddle that has no point of its own is outlined too.

    Args:
        image: (H, W, D), in any unit, on any grid.
        points: (N, 3) voxels, the surest first, within 1 mm of the cores.
        spacing: voxel size in mm. Slices lie along the coarsest axis.
        contrast: "dark" or "bright" lesions.
        mask: brain, (H, W, D). Nothing outside is background or part of a lesion whose core lies inside.

    Raises:
        InputError: ``image`` is no volume, the mask has another shape, or a point lies outside.
        ValueError: ``contrast`` is neither.
    """
    check_one_of("contrast", contrast, CONTRASTS)
    points = _checked(image, points)
    if mask is not None:
        check_same_shape(image[None], mask[None], "outline the lesions of")
        mask = convert_to_tensor(mask, track_meta=False).cpu()
    values = convert_to_tensor(image, track_meta=False).cpu()
    axis = slice_axis([float(mm) for mm in spacing])
    order = [k for k in range(3) if k != axis] + [axis]
    rows, columns, slices = (float(spacing[k]) for k in order)
    labels = torch.zeros(values.shape, dtype=torch.int32)
    turned = Volume(
        values.permute(order), None if mask is None else mask.permute(order), 1 if contrast == "bright" else -1
    )
    tracer = Tracer(turned, (rows, columns, slices))
    found = outline_all(tracer, points[:, order], labels.permute(order))
    percent = 100 * found.difference / found.background.abs()
    return Outlines(
        labels=labels,
        ids=found.ids,
        point=found.point,
        core=found.core[:, [order.index(k) for k in range(3)]],
        volume_mm3=found.area_mm2 * slices,
        longest_mm=found.longest_mm,
        contrast_percent=percent if contrast == "dark" else torch.full_like(percent, nan),
        difference=found.difference,
        cnr=(found.difference / found.noise).where(found.noise > 0, nan),
        slices=found.slices,
    )


def _checked(image: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return points (N, 3) as whole voxels."""
    if image.ndim != 3:
        raise InputError(
            f"cannot outline the lesions of {describe(image)}: its shape is {tuple(image.shape)}, "
            "it needs to be (H, W, D)."
        )
    whole = convert_to_tensor(points, track_meta=False).cpu().round().long().reshape(-1, 3)
    wrong = ((whole < 0) | (whole >= torch.tensor(image.shape))).any(dim=1)
    if wrong.any():
        raise InputError(
            f"cannot outline the lesions of {describe(image)}: voxel {whole[wrong][0].tolist()} lies outside its shape "
            f"{tuple(image.shape)}. Check that the points are voxels of this scan."
        )
    return whole


class LesionOutlined(MapTransform):
    """Replace the lesions of an instance map by their outlines, see :func:`outline_lesions`.

    The point of a lesion is its darkest (brightest) voxel. Numbers stay, a lesion that is one with an earlier one goes,
    and one that hung together with another is added with a number of its own, where the detector gave it no probability
    of its own: in the same voxels, or within 4 mm. Adds ``outlines``, an :class:`Outlines`.

    Args:
        keys: instance map, (1, H, W, D) meta tensor, the surest lesion first.
        image_key: scan, (1, H, W, D), in any unit, on the grid of the map.
        follow_keys: instance maps whose numbers are some of those of the map: they get the outlines of these.
        value_keys: maps with a value for each lesion, as probability: the outlines get the highest of it. Between
            lesions that touch, a layer of voxels of the later one is left out, so that clusters are lesions.
        mask_key: brain mask, (1, H, W, D), on the same grid.
        contrast: "dark" or "bright" lesions, unless the item's ``contrast`` says which.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        image_key: Hashable = "scan",
        follow_keys: KeysCollection = (),
        value_keys: KeysCollection = (),
        mask_key: Hashable = "mask",
        contrast: str = "dark",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_one_of("contrast", contrast, CONTRASTS)
        self.image_key, self.mask_key, self.contrast = image_key, mask_key, contrast
        self.follow_keys, self.value_keys = ensure_tuple(follow_keys), ensure_tuple(value_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Outline the lesions of the map under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            instances, image, mask = out[key], out[self.image_key], out.get(self.mask_key)
            check_one_channel(instances, "outline the lesions of")
            check_same_shape(instances, image, "outline the lesions of", "scan")
            contrast = item_contrast(out, image, "contrast", self.contrast)
            index = _plain(instances).nonzero()
            before = _plain(instances)[tuple(index.T)].long()
            followed = [_plain(out[name])[tuple(index.T)] for name in self.follow_keys]
            ids, points = _extremes(before, index, _plain(image), contrast)
            first = torch.isin(ids, torch.cat(followed)) if followed else torch.zeros_like(ids, dtype=torch.bool)
            order = (~first).int().argsort(stable=True)  # of two that are one, the one that others keep stays
            ids, points = ids[order], points[order]
            turn = Turn.of(instances)
            found = _outlined(image, None if mask is None else _plain(mask), points, contrast, turn)
            found = only(found, _is_sure(found, _plain(instances), ids, turn))
            where = found.labels.nonzero()
            found, numbers = _renumbered(found, ids, where)
            for name, part in zip(self.follow_keys, followed, strict=True):
                chosen = torch.isin(numbers, found.ids[torch.isin(ids, part)[found.point]])
                out[name] = drawn(where[chosen], numbers[chosen], out[name])
            shown, lesion = apart(found.ids, found.core, numbers, where, found.labels.shape)
            for name in self.value_keys:
                highest = highest_of(_plain(out[name])[tuple(index.T)], before, ids)
                out[name] = drawn(where[shown], highest[found.point][lesion], out[name])
            out[key] = convert_to_dst_type(found.labels[None], instances)[0]
            out["outlines"] = found
        return out


def _plain(volume: torch.Tensor) -> torch.Tensor:
    """Return (H, W, D) of (1, H, W, D), on the CPU."""
    return convert_to_tensor(volume, track_meta=False)[0].cpu()


def _outlined(
    image: torch.Tensor, mask: torch.Tensor | None, points: torch.Tensor, contrast: str, turn: Turn
) -> Outlines:
    """Return outlines in a scan (1, H, W, D), the same in whatever order it is stored."""
    shape = image.shape[1:]
    turned = None if mask is None else turn.there(mask)
    where = turn.points_there(points, shape)
    found = outline_lesions(turn.there(image[0]), where, turn.spacing, contrast, turned)
    return replace(found, labels=turn.back(found.labels), core=turn.points_back(found.core, shape))


def _is_sure(found: Outlines, instances: torch.Tensor, ids: torch.Tensor, turn: Turn) -> torch.Tensor:
    """Return which outlines (M,) have a point of their own, or lie in the voxels of that they hung together with.

    So do those within 4 mm of its core; others have been looked at by the detector, which did not find them.
    """
    row = torch.zeros(len(ids) + 1, dtype=torch.long)
    row[found.ids.clamp(max=len(ids) + 1) - 1] = torch.arange(len(found.ids))  # those without a point: in the last
    mm = torch.tensor(turn.spacing)[[turn.axes.index(k) for k in range(3)]]
    apart = ((found.core - found.core[row[found.point]]) * mm).norm(dim=1)
    inside = instances[tuple(found.core.T)] == ids[found.point]
    return (found.ids <= len(ids)) | inside | (apart <= APART_MM)


def _extremes(
    labels: torch.Tensor, index: torch.Tensor, image: torch.Tensor, contrast: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers (N,) of lesions and the most extreme voxel (N, 3) of each, from all their voxels (V, 3)."""
    order = image[tuple(index.T)].float().argsort(descending=contrast == "bright")
    order = order[labels[order].argsort(stable=True)]  # by number, the most extreme first
    ids, counts = labels[order].unique_consecutive(return_counts=True)
    return ids, index[order[counts.cumsum(0) - counts]]


def _renumbered(found: Outlines, ids: torch.Tensor, where: torch.Tensor) -> tuple[Outlines, torch.Tensor]:
    """Return outlines with the numbers (N,) of the points, those without a point after the highest; and of voxels."""
    highest = int(ids.max()) if len(ids) else 0
    extra = highest + 1 + torch.arange(len(found.ids))
    by_outline = torch.cat([torch.zeros(1, dtype=torch.long), ids, extra])
    numbers = by_outline[found.labels[tuple(where.T)].long()]
    found.labels[tuple(where.T)] = numbers.int()
    return replace(found, ids=by_outline[found.ids]), numbers
