"""Vessel mask: thin elongated bright segments, told from round ones, which may be microbleeds."""

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform, Transform, generate_spatial_bounding_box
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor, ensure_tuple

from ...checks import InputError, check_positive, check_same_shape, describe
from ._segments import elongated, near_blobs, two_means
from ._shape import frangi, structure_eigenvalues

SCALES_MM = (0.6, 1.0, 1.5)
WINDOW_MM = 1.0


def vessel_mask(
    image: torch.Tensor,
    brain_mask: torch.Tensor,
    *,
    spacing: Sequence[float] = (1, 1, 1),
    scales_mm: Sequence[float] = SCALES_MM,
    min_length_mm: float = 8,
    min_elongation: float = 2.5,
) -> torch.Tensor:
    """Return a mask of bright thin elongated structures, mostly veins, that leaves round ones out.

    As in [1]_: vesselness and structure tensor per voxel, two clusters of which the smaller is vessel, elongated
    segments only. The authors give no numbers; ours were chosen on simulated scans. Not in [1]_: voxels around the
    centre of something round are left out, because microbleeds often touch a vein.

    Args:
        image: (1, H, W, D) of any number type, vessels bright, not modified. Scale and offset do not matter.
        brain_mask: (1, H, W, D), non-zero inside the brain. Only voxels inside are looked at and masked.
        spacing: voxel size along H, W and D, in mm.
        scales_mm: standard deviations of the Gaussians of the vesselness.
        min_length_mm: segments shorter than this are left out.
        min_elongation: segments whose length is less than this many times their width are left out.

    Returns:
        (1, H, W, D) uint8, 1 in vessels.

    Raises:
        InputError: the shapes differ, ``image`` has not one channel or is not finite, or the mask is empty.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023. https://doi.org/10.3389/fninf.2023.1204186
    """
    check_same_shape(image, brain_mask, "mask the vessels of")
    if image.ndim != 4 or len(image) != 1:
        raise InputError(f"cannot mask the vessels of {describe(image)}: it needs one channel, (1, H, W, D).")
    brain = convert_to_tensor(brain_mask, dtype=torch.bool, track_meta=False)[0]
    if not brain.any():
        raise InputError(f"cannot mask the vessels of {describe(image)}: its brain mask is empty.")
    start, end = generate_spatial_bounding_box(brain[None])
    box = tuple(slice(*ends) for ends in zip(start, end, strict=True))
    inside = brain[box]
    voxels = inside.flatten().nonzero()[:, 0]
    volume = convert_to_tensor(image, dtype=torch.float32, track_meta=False)[0][box]
    values = volume.take(voxels)
    if not values.isfinite().all():
        raise InputError(f"cannot mask the vessels of {describe(image)}: some of its values are not finite numbers.")
    # The edge of the brain would be the strongest structure of all.
    volume = torch.where(inside, volume - values.median(), 0)

    shape = structure_eigenvalues(volume, voxels, min(scales_mm), WINDOW_MM, spacing)
    features = torch.cat([frangi(volume, voxels, spacing, scales_mm)[None], shape])
    candidates = torch.zeros_like(inside).masked_scatter(inside, two_means(features))
    candidates &= ~near_blobs(volume, candidates, spacing)
    result = torch.zeros_like(brain, dtype=torch.uint8)
    result[box] = elongated(candidates, spacing, min_length_mm, min_elongation)
    return result[None]


class VesselMask(Transform):
    """Mask of bright thin elongated structures; see :func:`vessel_mask`.

    The voxel size comes from the affine; an image without one has voxels of 1 mm.

    Args:
        scales_mm: standard deviations of the Gaussians of the vesselness. Defaults to 0.6, 1 and 1.5 mm.
        min_length_mm: length from which a segment is kept. Defaults to 8 mm, longer than most microbleeds.
        min_elongation: length over width from which a segment is kept. Defaults to 2.5.

    Raises:
        ValueError: an argument is not above 0, or ``scales_mm`` is empty.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, scales_mm: Sequence[float] = SCALES_MM, min_length_mm: float = 8, min_elongation: float = 2.5
    ) -> None:
        if not scales_mm:
            raise ValueError("`scales_mm` must hold at least one scale, got none.")
        for scale_mm in scales_mm:
            check_positive("scales_mm", scale_mm)
        check_positive("min_length_mm", min_length_mm)
        check_positive("min_elongation", min_elongation)
        self.scales_mm = tuple(scales_mm)
        self.min_length_mm = min_length_mm
        self.min_elongation = min_elongation

    def __call__(self, image: torch.Tensor, brain_mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Map (1, H, W, D) and its brain mask to a uint8 mask of the same shape, with the meta data of the image."""
        spacing = affine_to_spacing(image.affine).tolist() if isinstance(image, MetaTensor) else (1, 1, 1)
        result = vessel_mask(
            image,
            brain_mask,
            spacing=spacing,
            scales_mm=self.scales_mm,
            min_length_mm=self.min_length_mm,
            min_elongation=self.min_elongation,
        )
        return convert_to_dst_type(result, image, dtype=torch.uint8)[0]


class VesselMaskd(MapTransform):
    """Dictionary version of :class:`VesselMask`: same arguments, plus the keys to read and to write.

    Args:
        mask_key: key of the brain mask. Defaults to "mask".
        output_keys: where the vessel masks go, one for each of ``keys``. Defaults to "vessels".
    """

    backend = VesselMask.backend

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str = "mask",
        output_keys: KeysCollection = "vessels",
        scales_mm: Sequence[float] = SCALES_MM,
        min_length_mm: float = 8,
        min_elongation: float = 2.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.output_keys = ensure_tuple(output_keys)
        if len(self.output_keys) != len(self.keys):
            raise ValueError(f"`output_keys` must name one key for each of {self.keys}, got {self.output_keys}.")
        self.vessels = VesselMask(scales_mm, min_length_mm, min_elongation)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the vessel mask of each key added."""
        out = dict(data)
        for key, output_key in self.key_iterator(out, self.output_keys):
            out[output_key] = self.vessels(out[key], out[self.mask_key])
        return out
