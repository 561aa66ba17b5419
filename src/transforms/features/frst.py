"""Fast radial symmetry transform: how strongly the gradients around a voxel point at it."""

import math
from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform, Transform, generate_spatial_bounding_box
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor, ensure_tuple

from ...checks import InputError, check_one_of, check_positive, describe
from ..grid._gaussian import gaussian_filter

DIRECTIONS = {"bright": (1,), "dark": (-1,), "both": (1, -1)}


def find_voters(volumes: torch.Tensor, spacing: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return flat indices (V,) of the voxels of (N, H, W, D) with a gradient, its magnitude (V,) and direction (3, V).

    The gradient is the central difference per unit of ``spacing``, 0 across the faces of the volume.
    """
    gradient = volumes.new_zeros(3, *volumes.shape)
    for axis, size in enumerate(volumes.shape[1:]):
        if size > 2:
            after = volumes.narrow(axis + 1, 2, size - 2)
            before = volumes.narrow(axis + 1, 0, size - 2)
            gradient[axis].narrow(axis + 1, 1, size - 2).copy_((after - before) / (2 * spacing[axis]))
    magnitude = gradient.square().sum(dim=0).sqrt_().flatten()
    voters = magnitude.nonzero()[:, 0]
    magnitude = magnitude[voters]
    return voters, magnitude, gradient.flatten(1)[:, voters] / magnitude


def displacement(direction: torch.Tensor, voxels: float) -> torch.Tensor:
    """Return the whole voxels, (V,) int64, that a step covers on one axis, where unit vectors have ``direction``."""
    return (direction * voxels).round_().long()


def sphere_votes(radius: float, spacing: Sequence[float]) -> int:
    """Return how many voxels vote for the centre of an ideal sphere of this radius, 0 if it reaches no neighbour."""
    reach = [range(-math.ceil(radius / size), math.ceil(radius / size) + 1) for size in spacing]
    voxels = torch.cartesian_prod(*(torch.tensor(steps) for steps in reach)).T.double()
    voxels = voxels[:, voxels.any(dim=0)]
    direction = voxels * voxels.new_tensor(spacing)[:, None]
    direction /= torch.linalg.vector_norm(direction, dim=0)
    step = torch.stack([displacement(unit, radius / size) for unit, size in zip(direction, spacing, strict=True)])
    return int((step == voxels).all(dim=0).sum())


def fast_radial_symmetry(
    image: torch.Tensor,
    radii: Sequence[float],
    *,
    spacing: Sequence[float] = (1, 1, 1),
    alpha: float = 2,
    polarity: str = "bright",
) -> torch.Tensor:
    """Return the fast radial symmetry transform of volumes, the mean over ``radii``, after [1]_ in 3-D.

    Every voxel with a gradient votes for the voxels at distance ``n`` up its gradient (the centre of a bright
    sphere) and down its gradient (of a dark one). With O_n the signed count of votes and M_n their signed gradient
    magnitudes, ``F_n = n * M_n / k_n * (|O_n| / k_n) ** alpha``, which is smoothed with a Gaussian of 0.25 n.

    Differences from [1]_: ``k_n`` is a third of the voxels that vote for the centre of an ideal sphere on this grid,
    as the paper's 9.9 is a third of the pixels of its circles, and clips O_n; it does not depend on the image, so
    cropping changes nothing. The factor ``n`` frees the result of units: a sphere twice as large, seen with radii
    twice as long, gives the same.

    Args:
        image: (B, C, H, W, D) tensor of any number type, not modified. Each channel is transformed by itself.
        radii: distances ``n``, in the unit of ``spacing``. Those that reach no neighbouring voxel are left out.
        spacing: voxel size along H, W and D. 1 measures radii in voxels; the voxel size in mm measures them in mm.
        alpha: strictness, above 0. Higher values suppress what is not symmetric on all sides, such as lines.
        polarity: "bright" and "dark" count the votes for spheres of that kind only, "both" counts both.

    Returns:
        (B, C, H, W, D) float32: above 0 at bright spheres, below 0 at dark ones. It is proportional to intensity:
        a ball whose radius lies among ``radii`` has 0.2 to 0.6 times its contrast at its centre, noise a hundredth.
        Votes that leave the volume are dropped.

    Raises:
        ValueError: ``image`` has not 5 dimensions or is not finite, ``alpha`` or ``polarity`` is not allowed,
            ``radii`` is empty or none of them reaches a neighbouring voxel.

    References:
        .. [1] Loy and Zelinsky, ECCV 2002. https://doi.org/10.1007/3-540-47969-4_24
    """
    check_parameters(radii, alpha, polarity)
    if image.ndim != 5:
        raise InputError(
            f"cannot transform {describe(image)}: it needs 5 dimensions (B, C, H, W, D), not {image.ndim}."
        )
    volumes = convert_to_tensor(image, dtype=torch.float32, track_meta=False).flatten(0, 1)
    if not volumes.isfinite().all():
        raise InputError(f"cannot transform {describe(image)}: some of its values are not finite numbers.")
    reaching = [radius for radius in radii if sphere_votes(radius, spacing)]
    if not reaching:
        raise InputError(
            f"cannot transform {describe(image)}: none of `radii` {tuple(radii)} reaches a neighbouring voxel, "
            f"its size {tuple(round(float(size), 3) for size in spacing)}."
        )
    # Votes and the Gaussian both reach one radius, so the rest of a scan without skull stays 0.
    reach = [1 + 2 * math.ceil(max(reaching) / size) for size in spacing]
    start, end = generate_spatial_bounding_box(volumes != volumes[:, :1, :1, :1], margin=reach)
    box = (slice(None), *(slice(max(0, first), last) for first, last in zip(start, end, strict=True)))
    result = torch.zeros_like(volumes)
    if result[box].numel() > 0:
        result[box] = mean_symmetry(volumes[box], reaching, spacing, alpha, DIRECTIONS[polarity])
    return result.view(image.shape)


def mean_symmetry(
    volumes: torch.Tensor, radii: Sequence[float], spacing: Sequence[float], alpha: float, signs: Sequence[int]
) -> torch.Tensor:
    """Return the mean over ``radii`` of F_n of float32 volumes (N, H, W, D); see :func:`fast_radial_symmetry`."""
    voters, magnitude, direction = find_voters(volumes, spacing)

    # A margin takes the votes that leave the volume, so that no vote needs a test.
    margin = [math.ceil(max(radii) / size) for size in spacing]
    padded = [len(volumes), *(size + 2 * m for size, m in zip(volumes.shape[1:], margin, strict=True))]
    inside = (slice(None), *(slice(m, m + size) for size, m in zip(volumes.shape[1:], margin, strict=True)))
    strides = (padded[2] * padded[3], padded[3], 1)
    voter = torch.arange(math.prod(padded), device=volumes.device).view(padded)[inside].flatten()[voters]

    # In place where it can be: on a CPU, new memory takes longer than the arithmetic.
    result = torch.zeros_like(volumes)
    votes, one, step = volumes.new_empty(2, *padded), torch.ones_like(magnitude), torch.empty_like(voter)
    for radius in radii:
        step.zero_()
        for unit, size, stride in zip(direction, spacing, strides, strict=True):
            step.add_(displacement(unit, radius / size), alpha=stride)
        count, strength = votes.zero_()  # O_n and M_n
        for sign in signs:
            target = torch.add(voter, step, alpha=sign)
            count.view(-1).index_add_(0, target, one, alpha=sign)
            strength.view(-1).index_add_(0, target, magnitude, alpha=sign)
        clip = sphere_votes(radius, spacing) / 3
        symmetry = count[inside].abs().div_(clip).clamp_(max=1).pow_(alpha).mul_(strength[inside])
        smooth = gaussian_filter(symmetry, sigma=[0.25 * radius / size for size in spacing])
        result.add_(smooth, alpha=radius / clip / len(radii))
    return result


def check_parameters(radii: Sequence[float], alpha: float, polarity: str) -> None:
    """Raise ``ValueError`` unless the arguments of :func:`fast_radial_symmetry` are allowed."""
    if not radii:
        raise ValueError("`radii` must hold at least one radius, got none.")
    for radius in radii:
        check_positive("radii", radius)
    check_positive("alpha", alpha)
    check_one_of("polarity", polarity, DIRECTIONS)


class FastRadialSymmetry(Transform):
    """Fast radial symmetry transform of each channel of a volume; see :func:`fast_radial_symmetry`.

    Args:
        radii: distances at which votes are cast. Defaults to 2, 3, 4 and 6 voxels, as in [1]_.
        unit: "voxel", as in [1]_, or "mm", which keeps a sphere a sphere on grids with thick slices and takes the
            voxel size from the affine; an image without one has voxels of 1 mm. 1.5, 2, 3 and 4 mm suit microbleeds.
        polarity: "bright", "dark" or "both".
        alpha: strictness, above 0. Defaults to 2, which [2]_ recommends.

    Raises:
        ValueError: an argument is not allowed.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023. https://doi.org/10.3389/fninf.2023.1204186
        .. [2] Loy and Zelinsky, ECCV 2002. https://doi.org/10.1007/3-540-47969-4_24
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, radii: Sequence[float] = (2, 3, 4, 6), unit: str = "voxel", polarity: str = "bright", alpha: float = 2
    ) -> None:
        check_one_of("unit", unit, ("voxel", "mm"))
        check_parameters(radii, alpha, polarity)
        self.radii = tuple(radii)
        self.unit = unit
        self.polarity = polarity
        self.alpha = alpha

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Map (C, H, W, D) to float32 of the same shape, with the same meta data."""
        spacing = (
            affine_to_spacing(image.affine).tolist()
            if self.unit == "mm" and isinstance(image, MetaTensor)
            else (1, 1, 1)
        )
        result = fast_radial_symmetry(
            image[None], self.radii, spacing=spacing, alpha=self.alpha, polarity=self.polarity
        )
        return convert_to_dst_type(result[0], image, dtype=torch.float32)[0]


class FastRadialSymmetryd(MapTransform):
    """Dictionary version of :class:`FastRadialSymmetry`: same arguments, plus the keys to read and to write.

    Args:
        output_keys: where the results go, one for each of ``keys``. Defaults to "frst".
    """

    backend = FastRadialSymmetry.backend

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection = "frst",
        radii: Sequence[float] = (2, 3, 4, 6),
        unit: str = "voxel",
        polarity: str = "bright",
        alpha: float = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_keys = ensure_tuple(output_keys)
        if len(self.output_keys) != len(self.keys):
            raise ValueError(f"`output_keys` must name one key for each of {self.keys}, got {self.output_keys}.")
        self.symmetry = FastRadialSymmetry(radii, unit, polarity, alpha)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with the transform of each key added."""
        out = dict(data)
        for key, output_key in self.key_iterator(out, self.output_keys):
            out[output_key] = self.symmetry(out[key])
        return out
