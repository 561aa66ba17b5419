"""Labels as people have them: masks, points and boxes."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import LoadImage, MapTransform
from monai.utils import TransformBackends

from ...checks import InputError, check_one_of, describe
from ..grid._grid import load_on_grid
from ..intensity.contrast import CONTRASTS, item_contrast
from .grow_lesions import grow_lesions

LPS = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)


def to_voxels(points_mm: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
    """Map (N, 3) RAS+ mm to voxels by the inverse of an affine (4, 4), voxel to mm."""
    inverse = torch.linalg.inv(affine.double())
    return points_mm.double() @ inverse[:3, :3].T + inverse[:3, 3]


class LesionLabeld(MapTransform):
    """Make the label of an image from whichever annotation its item has.

    - ``box``: rows (cx, cy, cz, w, h, d) in LPS mm, as MONAI Label gives the boxes that were drawn in 3D Slicer;
    - ``points``: rows (x, y, z) in RAS+ mm, as ``csvd datalist`` writes them;
    - else the key itself, the path of a mask on the grid of the image, which is loaded.

    Boxes and points become masks by :func:`csvd.transforms.grow_lesions`. An item with none of them is left alone.

    Args:
        keys: labels.
        image_key: the image, loaded, (C, H, W, D) with its affine; lesions are grown in its first channel.
        contrast: "dark" or "bright" microbleeds, unless the item says which under ``contrast_key``.
        contrast_key: see above.
        reader: that of MONAI's ``LoadImage``, for masks.

    Raises:
        ValueError: ``contrast`` is neither.
        InputError: on call, a mask is not on the grid of the image, or a point or the centre of a box lies outside it.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        image_key: Hashable = "image",
        contrast: str = "dark",
        contrast_key: Hashable = "contrast",
        reader: Any = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_one_of("contrast", contrast, CONTRASTS)
        self.image_key = image_key
        self.contrast = contrast
        self.contrast_key = contrast_key
        self.load = LoadImage(reader, image_only=True, ensure_channel_first=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each label, (1, H, W, D), and drop the boxes and points."""
        out = dict(data)
        boxes, points = out.pop("box", None), out.pop("points", None)
        for key in self.keys if boxes is not None or points is not None else self.key_iterator(out):
            if boxes is not None:
                box = torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 6)
                out[key] = self._grow(out, box[:, :3] * LPS, box[:, 3:])
            elif points is not None:
                out[key] = self._grow(out, torch.as_tensor(points, dtype=torch.float64).reshape(-1, 3), None)
            else:
                out[key] = load_on_grid(self.load, out[key], out[self.image_key], what=str(key))
        return out

    def _grow(self, item: Mapping[Hashable, Any], points_mm: torch.Tensor, sizes_mm: torch.Tensor | None) -> MetaTensor:
        image = item[self.image_key]
        spacing = affine_to_spacing(image.affine).double()
        voxels = to_voxels(points_mm, image.affine)
        self._check_inside(image, points_mm, voxels, "point" if sizes_mm is None else "centre of box")
        label = grow_lesions(
            image[:1],
            voxels,
            spacing=spacing.tolist(),
            contrast=item_contrast(item, image, self.contrast_key, self.contrast),
            half_sizes=None if sizes_mm is None else self._half_voxels(sizes_mm, image.affine),
        )
        return MetaTensor(label.float(), meta={**image.meta})

    @staticmethod
    def _check_inside(image: MetaTensor, points_mm: torch.Tensor, voxels: torch.Tensor, what: str) -> None:
        inside = ((voxels.round() >= 0) & (voxels.round() < torch.tensor(image.shape[1:]))).all(dim=1)
        if not inside.all():
            first = int(inside.int().argmin())
            raise InputError(
                f"{what} {first + 1} of {describe(image)} must lie inside it, it is at "
                f"{[round(value, 1) for value in points_mm[first].tolist()]} mm (RAS), voxel "
                f"{[round(value, 1) for value in voxels[first].tolist()]} of {list(image.shape[1:])}: correct it, or "
                "check that it belongs to this scan."
            )

    @staticmethod
    def _half_voxels(sizes_mm: torch.Tensor, affine: torch.Tensor) -> torch.Tensor:
        """Return half the size (N, 3), in voxels, of the boxes along the voxel axes that enclose boxes (N, 3) in mm."""
        axes = affine[:3, :3].double()
        direction = (axes / axes.norm(dim=0)).abs()  # (world, voxel)
        return sizes_mm @ direction / axes.norm(dim=0) / 2
