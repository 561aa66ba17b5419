"""Microbleeds and mimics planted into a whole scan, with the truth about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from ..anatomy.affine import apply_affine
from ..anatomy.regions import region_at
from ..planes import slice_axis
from ..planting.draws import Draws
from ..planting.shapes import Raster, dot_coverage, draw_dots, draw_vessels, soft_coverage, vessel_coverage
from .planting_phase import dipole_phase, wrapped
from .planting_sites import draw_sites, find_locations, usable_voxels

FINE_MM = 0.3
"""Largest sample at which a shape is drawn before it is averaged over a voxel."""
REACH_MM = 14.0
"""How far a vessel or a soft shade is drawn."""
MIMIC_CODES: dict[str, int] = {"vessel": 1, "flow void": 2, "nucleus": 3, "calcification": 4}
MIMIC_WEIGHTS = (5, 2, 2, 1)  # how often each is drawn
RADIUS_MM = (0.5, 4.5)
SMALL_MM = 1.9
Range = tuple[float, float]
PLANTED_COLUMNS = ("id", "x_mm", "y_mm", "z_mm", "radius_mm", "depth", "cnr", "location", "region", "side")


@dataclass
class PlantedScan:
    """A scan with what was planted into it; volumes are (H, W, D) on the grid of the scan.

    Args:
        image: float32, in the unit of the scan.
        label: microbleeds 1..n in the order of ``lesions``, int16.
        mimics: codes of :data:`MIMIC_CODES`, uint8.
        lesions: :data:`PLANTED_COLUMNS` of each microbleed. ``depth`` is the contrast of its centre, as a share of the
            tissue around it, ``cnr`` that difference over the local standard deviation.
        phase: radians, where one was given.
    """

    image: torch.Tensor
    label: torch.Tensor
    mimics: torch.Tensor
    lesions: list[dict[str, int | float | str]] = field(default_factory=list)
    phase: torch.Tensor | None = None


def plant_scan(
    image: torch.Tensor,
    mask: torch.Tensor,
    affine: torch.Tensor,
    *,
    lesions: int,
    seed: int,
    mimics: int = 0,
    phase: torch.Tensor | None = None,
    radius_mm: Range | None = None,
    depth: Range | None = None,
) -> PlantedScan:
    """Plant microbleeds and mimics into a scan.

    Args:
        image: SWI or magnitude, or any other image whose tissue is brighter than air, (H, W, D).
        mask: brain, (H, W, D) bool.
        affine: (4, 4) voxel to RAS mm.
        lesions: how many; fewer where the brain has no room.
        seed: decides everything.
        mimics: how many vessels, flow voids, dark nuclei and, with a phase, calcifications.
        phase: radians, (H, W, D); dipoles are added to it.
        radius_mm: half widths at half maximum; 0.5 to 4.5, most of them small, when not given.
        depth: 0.3 to 1 when not given, most of them deep.
    """
    spacing = [float(mm) for mm in affine[:3, :3].norm(dim=0)]
    axis = slice_axis(spacing)
    order = [k for k in range(3) if k != axis] + [axis]
    back = [order.index(k) for k in range(3)]
    turned = affine.double().clone()
    turned[:, :3] = affine.double()[:, order]
    parts = [None if part is None else part.permute(order).contiguous() for part in (image.float(), mask > 0, phase)]
    planter = _Planter(parts[0], parts[1], turned, parts[2], seed)  # type: ignore[arg-type]
    planter.plant_mimics(mimics)
    planter.plant_lesions(lesions, radius_mm, depth)
    scan = planter.scan
    for name in ("image", "label", "mimics", "phase"):
        volume = getattr(scan, name)
        setattr(scan, name, None if volume is None else volume.permute(back).contiguous())
    return scan


class _Planter:
    """Draws into a scan whose slices lie along the last axis."""

    def __init__(
        self, image: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor, phase: torch.Tensor | None, seed: int
    ) -> None:
        self.affine, self.mask = affine, mask
        self.spacing = tuple(float(mm) for mm in affine[:3, :3].norm(dim=0))
        self.rng, self.draws = np.random.default_rng(seed), Draws(seed)
        self.median = float(image[mask].median())
        self.locations, self.to_mni = find_locations(image, mask, affine)
        self.usable = usable_voxels(image, mask, self.spacing)  # type: ignore[arg-type]
        empty = torch.zeros(image.shape, dtype=torch.int16)
        self.scan = PlantedScan(
            image.clone(), empty, empty.to(torch.uint8), phase=None if phase is None else phase.clone().float()
        )
        self.clean = image

    def plant_lesions(self, count: int, radius_mm: Range | None, depth: Range | None) -> None:
        """Plant up to ``count`` microbleeds."""
        for voxel, location in draw_sites(self.locations, self.usable, self.spacing, count, self.rng):  # type: ignore[arg-type]
            small = radius_mm is None and self.rng.random() < 0.55
            low, high = radius_mm or (RADIUS_MM[0], SMALL_MM if small else RADIUS_MM[1])
            radius = math.exp(self.rng.uniform(math.log(low), math.log(high)))
            shallow = depth is None and self.rng.random() < 0.25
            dark = self.rng.uniform(*(depth or ((0.3, 1.0) if shallow else (0.6, 1.0))))
            self._plant_lesion(voxel + self.rng.uniform(-0.5, 0.5, 3), voxel, radius, dark, location)

    def _plant_lesion(self, centre: np.ndarray, voxel: np.ndarray, radius: float, dark: float, location: str) -> None:
        box, raster, factor, origin = self._window(voxel, 2 * radius + 2)
        offset = torch.tensor((centre - voxel) * np.array(self.spacing), dtype=torch.float32)
        dots = draw_dots(self.draws, offset[None], torch.tensor([radius]))
        cover, distance = dot_coverage(dots, raster)
        if radius > 0.9 and self.rng.random() < 0.12:
            core = torch.exp(-(distance / 0.45).square().clamp(max=16)) * self.rng.uniform(0.3, 1)
            cover = cover * (1 - core[:, None])
        rim = max(0.0, self.rng.uniform(-0.3, 0.35))
        ring = rim * torch.exp(-(((distance - 1) * radius - 0.6) / 0.4).square().clamp(max=16))
        share = cover.amax((2, 3), keepdim=True)
        cover, ring = _averaged(cover, factor), _averaged(ring[:, None] * share, factor)
        cover = dark * cover  # less where it fills but a part of a voxel
        part = self.scan.image[box]
        floor = self.median * self.rng.uniform(0, 0.04)
        # What is 0 was stripped, and stays 0.
        self.scan.image[box] = part * (1 - cover) * (1 + ring) + floor * cover * (part != 0)
        number = len(self.scan.lesions) + 1
        marked = cover > 0.5 * cover[..., origin].max()
        label = self.scan.label[box]
        label[marked & (label == 0)] = number
        if not (label == number).any():
            label[tuple(np.subtract(voxel, [side.start for side in box]))] = number
        self._add_dipole(box, centre, radius, self.rng.uniform(0.5, 3))
        self._note(number, centre, voxel, radius, location)

    def _note(self, number: int, centre: np.ndarray, voxel: np.ndarray, radius: float, location: str) -> None:
        """Add the row of a microbleed: what is seen of it in the slice of its middle."""
        depth, cnr = self._visibility(voxel, centre, radius)
        point = (self.affine @ torch.tensor([*centre, 1.0], dtype=torch.float64))[:3]
        x, y, z = point.tolist()
        region, side = ("n/a", "n/a") if self.to_mni is None else region_at(apply_affine(self.to_mni, point[None]))[0]
        self.scan.lesions.append(
            {
                "id": number,
                "x_mm": round(x, 2),
                "y_mm": round(y, 2),
                "z_mm": round(z, 2),
                "radius_mm": round(radius, 2),
                "depth": round(depth, 2),
                "cnr": round(cnr, 1),
                "location": location,
                "region": region,
                "side": side,
            }
        )

    def _visibility(self, voxel: np.ndarray, centre: np.ndarray, radius: float) -> tuple[float, float]:
        """Return depth over background and over its local spread, against a ring of the scan as it was."""
        index = int(voxel[2])
        rows, columns = (
            (torch.arange(n) - centre[k]) * self.spacing[k] for k, n in enumerate(self.scan.image.shape[:2])
        )
        distance = (rows[:, None].square() + columns.square()).sqrt()
        ring = (distance > radius + 0.5) & (distance < radius + 3) & self.mask[..., index]
        inside = distance < max(0.6 * radius, 0.75 * max(self.spacing[:2]))
        around = self.clean[..., index][ring]
        if len(around) < 4:
            return 0.0, 0.0
        dark = float(self.scan.image[..., index][inside].min())
        background, spread = float(around.median()), float(around.std())
        return 1 - dark / max(background, 1e-6), (background - dark) / max(spread, 1e-6)

    def plant_mimics(self, count: int) -> None:
        """Plant ``count`` mimics of all kinds."""
        names = list(MIMIC_CODES)[: 3 if self.scan.phase is None else 4]
        weights = np.array(MIMIC_WEIGHTS[: len(names)], dtype=float)
        bright = (self.clean > 1.5 * self.median) & self.mask
        tissue, fluid = self.usable.nonzero().numpy(), bright.nonzero().numpy()
        for _ in range(count):
            name = self.rng.choice(names, p=weights / weights.sum())
            sites = fluid if name == "flow void" else tissue
            if len(sites):
                self._plant_mimic(sites[self.rng.integers(len(sites))], name)

    def _plant_mimic(self, voxel: np.ndarray, name: str) -> None:
        radius = float(self.draws.log_uniform(1, 0.6, 2.0))
        reach = REACH_MM if name in ("vessel", "nucleus") else 2 * radius + 2
        box, raster, factor, origin = self._window(voxel, reach)
        centre = torch.zeros(1, 3)
        if name == "vessel":
            cover = vessel_coverage(draw_vessels(self.draws, centre), raster) * self.rng.uniform(0.25, 1)
        elif name == "nucleus":
            sigma = self.draws.log_uniform(1, 1.2, 4)
            cover = soft_coverage(self.draws, centre, sigma, raster) * self.rng.uniform(0.1, 0.6)
        else:
            cover = dot_coverage(draw_dots(self.draws, centre, torch.tensor([radius])), raster)[0]
            cover = cover * self.rng.uniform(0.3, 1)
        cover = _averaged(cover, factor)
        self.scan.image[box] = self.scan.image[box] * (1 - cover)
        marked = cover > 0.5 * cover[..., origin].max()
        self.scan.mimics[box][marked] = MIMIC_CODES[name]
        if name == "calcification":
            self._add_dipole(box, voxel.astype(float), radius, -self.rng.uniform(0.5, 3))

    def _add_dipole(self, box: tuple[slice, ...], centre: np.ndarray, radius: float, radians: float) -> None:
        """Add the field of a sphere to the phase, if there is one."""
        if self.scan.phase is None:
            return
        index = torch.stack(torch.meshgrid(*(torch.arange(s.start, s.stop) for s in box), indexing="ij"), dim=-1)
        spacing = torch.tensor(self.spacing)
        direction = (self.affine[:3, :3].float() / spacing)[2]  # the scanner's z in the axes of the grid
        added = dipole_phase(index * spacing, torch.tensor(centre).float() * spacing, radius, radians, direction)
        self.scan.phase[box] = wrapped(self.scan.phase[box] + added)

    def _window(self, voxel: np.ndarray, reach_mm: float) -> tuple[tuple[slice, ...], Raster, tuple[int, int], int]:
        """Return the part of the scan around a voxel, where to draw in it, samples per voxel, and the middle slice."""
        box = tuple(
            slice(max(0, int(v) - math.ceil(reach_mm / mm)), min(n, int(v) + math.ceil(reach_mm / mm) + 1))
            for v, mm, n in zip(voxel, self.spacing, self.scan.image.shape, strict=True)
        )
        factor = tuple(math.ceil(mm / FINE_MM) for mm in self.spacing[:2])
        rows, columns = (
            (torch.arange((side.stop - side.start) * f) - (f - 1) / 2) / f * mm + (side.start - int(v)) * mm
            for side, f, mm, v in zip(box, factor, self.spacing, voxel, strict=False)
        )
        z_mm = (torch.arange(box[2].start, box[2].stop) - int(voxel[2])) * self.spacing[2]
        origin = int(voxel[2]) - box[2].start
        return (
            box,
            Raster(rows, columns, z_mm[None], torch.full_like(z_mm, self.spacing[2])[None], origin),
            factor,
            origin,
        )  # type: ignore[return-value]


def _averaged(cover: torch.Tensor, factor: tuple[int, int]) -> torch.Tensor:
    """Return (1, K, h, w) samples averaged over voxels, as (H, W, K)."""
    return avg_pool2d(cover, factor)[0].permute(1, 2, 0)
