"""Series of other sequences, so that the sequence gate learns what is no input of the detector."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..checks import check_one_of
from .anatomy import Warp, random_warp
from .fields import air_on_grid, coil_shading, smooth_noise
from .grid import Grid, make_grid
from .heads import PROPERTIES, TISSUES, Head, build_head
from .lesions import draw_person
from .physics import GYROMAGNETIC, RELAXIVITY, zero_filled
from .protocols import PROTOCOLS
from .subject import one_thread
from .vessels import draw_tubes, random_veins

B0_TESLA = (1.5, 3.0, 3.0)


@dataclass
class Series:
    """A simulated series.

    Args:
        sequence: one of :data:`csvd.sequences.SEQUENCES`.
        kind: what it is in particular, for example ``"ADC"``.
        image: (H, W, D), float32, arbitrary units; a phase is in radians.
        affine: (4, 4) voxel to RAS mm, float64.
    """

    sequence: str
    kind: str
    image: torch.Tensor
    affine: torch.Tensor


@dataclass(frozen=True)
class Recipe:
    """How a kind of series is made.

    Args:
        sequence: its class.
        weigh: signal of each of :data:`csvd.phantom.heads.TISSUES`, (7,), from their properties (5, 7); and the echo
            time in ms, 0 where dephasing does not matter.
        planar: an echo-planar image: low resolution, distorted, without fat.
        snr: least and greatest.
        coils: what lies near the coils is brighter; not so in maps that are computed.
        stripped: probability that there is nothing outside the brain.
    """

    sequence: str
    weigh: Callable[[torch.Tensor, np.random.Generator], tuple[torch.Tensor, float]]
    planar: bool = False
    snr: tuple[float, float] = (10, 60)
    coils: bool = True
    stripped: float = 0.25


def _spin_echo(tissue: torch.Tensor, tr: float, te: float) -> torch.Tensor:
    density, t1, t2, _, _ = tissue
    return density * (1 - torch.exp(-tr / t1)) * torch.exp(-te / t2)


def _inverted(tissue: torch.Tensor, tr: float, ti: float, te: float) -> torch.Tensor:
    density, t1, t2, _, _ = tissue
    return (density * (1 - 2 * torch.exp(-ti / t1) + torch.exp(-tr / t1)) * torch.exp(-te / t2)).abs()


def _spoiled(tissue: torch.Tensor, tr: float, te: float, flip_deg: float) -> torch.Tensor:
    density, t1, _, t2star, _ = tissue
    flip, rest = np.radians(flip_deg), torch.exp(-tr / t1)
    return density * np.sin(flip) * (1 - rest) / (1 - np.cos(flip) * rest) * torch.exp(-te / t2star)


def _t1(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    kind = rng.integers(3)
    if kind == 0:
        tr, ti = rng.uniform(1900, 2500), rng.uniform(900, 1200)  # grey matter is past its zero
        return _inverted(tissue, tr, ti, rng.uniform(2, 5)), 0.0
    if kind == 1:
        return _spoiled(tissue, rng.uniform(8, 35), rng.uniform(2, 6), rng.uniform(12, 35)), 0.0
    return _spin_echo(tissue, rng.uniform(350, 750), rng.uniform(7, 20)), 0.0


def _t2(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    return _spin_echo(tissue, rng.uniform(2500, 7000), rng.uniform(70, 130)), 0.0


def _flair(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    tr = rng.uniform(5000, 11000)
    t1 = float(tissue[1, TISSUES.index("csf")])
    null = t1 * np.log(2 / (1 + np.exp(-tr / t1)))
    return _inverted(tissue, tr, null * rng.uniform(0.9, 1.03), rng.uniform(80, 150)), 0.0


def _dwi(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    b = 0.0 if rng.random() < 0.25 else rng.uniform(400, 2500)
    signal = _spin_echo(tissue, rng.uniform(3000, 10000), rng.uniform(55, 110))
    return signal * torch.exp(-b * 1e-3 * tissue[4]), 0.0


def _gradient_echo(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    te = rng.uniform(10, 45)
    if rng.random() < 0.3:
        return _spoiled(tissue, te + rng.uniform(5, 30), te, rng.uniform(8, 20)), te
    return _spoiled(tissue, rng.uniform(300, 900), te, rng.uniform(15, 60)), te


def _planar_echo(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    te = rng.uniform(18, 55)
    return _spoiled(tissue, rng.uniform(700, 3000), te, rng.uniform(50, 90)), te


def _density(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    if rng.random() < 0.5:
        return _spin_echo(tissue, rng.uniform(2500, 6000), rng.uniform(7, 18)), 0.0
    return _spoiled(tissue, rng.uniform(18, 40), rng.uniform(2, 5), rng.uniform(3, 6)), 0.0


def _adc(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    return tissue[4].clone(), 0.0


def _table(*values: float) -> Callable[[torch.Tensor, np.random.Generator], tuple[torch.Tensor, float]]:
    """Return a recipe that gives the tissues these values, grey matter first."""

    def weigh(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
        return torch.tensor(values) * torch.from_numpy(rng.normal(1, 0.05, len(values))).float(), 0.0

    return weigh


def _any(tissue: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, float]:
    return torch.from_numpy(rng.uniform(0, 1, len(TISSUES))).float(), 0.0


RECIPES: dict[str, Recipe] = {
    "T1": Recipe("T1", _t1),
    "T1c": Recipe("T1c", _t1),
    "T2": Recipe("T2", _t2),
    "FLAIR": Recipe("FLAIR", _flair),
    "DWI": Recipe("DWI", _dwi, planar=True),
    "GRE": Recipe("T2*-GRE", _gradient_echo),
    "EPI": Recipe("T2*-GRE", _planar_echo, planar=True),
    "raw phase": Recipe("phase", _gradient_echo, stripped=0.1),
    "ADC": Recipe("other", _adc, planar=True, coils=False, stripped=0.6),
    "FA": Recipe(
        "other", _table(0.15, 0.6, 0.05, 0.3, 0.1, 0.2, 0.05), planar=True, snr=(3, 12), coils=False, stripped=0.6
    ),
    "CBF": Recipe(
        "other", _table(1, 0.35, 0.05, 0.25, 0.1, 0.2, 0.02), planar=True, snr=(2, 8), coils=False, stripped=0.5
    ),
    "PD": Recipe("other", _density),
    "CT": Recipe("other", _table(0.50, 0.47, 0.42, 0.45, 0.25, 0.5, 1.0), snr=(40, 200), coils=False, stripped=0),
    "field": Recipe("other", _any, coils=False, stripped=0.8),
    "no head": Recipe("other", _any, stripped=0),
}


def simulate_series(kind: str, seed: int, index: int = 0) -> Series:
    """Simulate one series of one head; the result depends on the arguments alone.

    Contrast, resolution, orientation, noise, shading, face and skull-stripping are drawn from wide ranges.

    Args:
        kind: key of :data:`RECIPES`.
        seed: seed of the cohort.
        index: number of the head in the cohort.

    Raises:
        ValueError: no such kind.
    """
    check_one_of("kind", kind, RECIPES)
    recipe = RECIPES[kind]
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, list(RECIPES).index(kind)]))
    with one_thread(), torch.inference_mode():
        _, age, _ = draw_person(rng, None)
        grid, warp = _lay_out(recipe, rng, age)
        tissue = torch.tensor(list(PROPERTIES.values())).T.float()
        weight, te_ms = recipe.weigh(tissue * torch.from_numpy(rng.lognormal(0, 0.08, tissue.shape)).float(), rng)
        if recipe.planar or rng.random() < 0.4:
            weight[TISSUES.index("fat")] *= float(rng.uniform(0, 0.2))  # fat suppression
        if kind == "no head":
            signal = _no_head(grid, rng)
            brain = torch.ones_like(signal)
        else:
            head = build_head(grid, warp, rng, age, face=bool(rng.random() < 0.6))
            signal, brain = torch.einsum("k,k...->...", weight, head.shares), head.brain
            if kind == "T1c":
                signal = _enhance(signal, head, grid, warp, weight, rng)
            if kind == "field":
                signal = smooth_noise(rng, grid.fine_mm, grid.fine_shape, float(rng.uniform(30, 80))) * (signal > 0.1)
            if te_ms:
                signal = _dephase(signal, head.iron, grid, warp, te_ms, rng)
        image = _measure(recipe, kind, signal, grid, rng)
        if rng.random() < recipe.stripped:
            image = image * (grid.average(brain) > 0.5)
    return Series(recipe.sequence, kind, grid.embed(image.float()), grid.affine.double())


def _lay_out(recipe: Recipe, rng: np.random.Generator, age: float) -> tuple[Grid, Warp]:
    """Draw a head and a grid over it: volumes of equal edges or stacks of slices; echo-planar ones are distorted."""
    if recipe.planar:
        inplane = float(rng.uniform(1.5, 3.6))
        voxel = [inplane, inplane, float(rng.uniform(1.8, 5))]
    elif rng.random() < 0.35:
        voxel = [float(rng.uniform(1, 1.6))] * 3
    else:
        voxel = [float(rng.uniform(0.75, 1.4))] * 3
        voxel[int(rng.choice(3, p=[0.2, 0.2, 0.6]))] = float(rng.uniform(2.5, 6.5))
    warp = random_warp(rng, 10.0, age)
    if recipe.planar:
        nodes = np.moveaxis(np.indices(warp.displacement.shape[1:]), 0, -1) * 8.0 - np.array((98.0, 134.0, 72.0))
        bump = np.exp(-((nodes - np.array((0, 48, -30))) ** 2).sum(-1) / (2 * 28.0**2))
        warp.displacement[1] += torch.from_numpy(float(rng.normal(0, 5)) * bump).float()
    oblique = float(rng.uniform(0, 15)) if rng.random() < 0.5 else 0.0
    protocol = replace(PROTOCOLS["random"], voxel_mm=(voxel[0], voxel[1], voxel[2]), matrix=None, oblique_deg=oblique)
    grid = make_grid(protocol, warp, rng, head=True)
    factor = [int(np.ceil(h / 2)) for h in voxel]
    return replace(grid, factor=(factor[0], factor[1], factor[2])), warp


def _enhance(
    signal: torch.Tensor, head: Head, grid: Grid, warp: Warp, weight: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Add contrast agent: vessels, the lining of the skull, and in half of the heads a ring around a lesion."""
    bright = float(rng.uniform(1.0, 2.2) * weight[TISSUES.index("white")])
    veins = random_veins(rng, 1.5)
    to_fine = torch.linalg.inv(grid.fine_affine)
    points = warp.to_world(veins.points) @ to_fine[:3, :3].T + to_fine[:3, 3]
    blood = draw_tubes(points, 1.5 * veins.radius_mm, torch.ones_like(veins.chi_ppm), grid.fine_mm, grid.fine_shape)
    share = blood.clamp(max=1)
    lining = (head.brain == 0) & (head.outside_mm > 0.5) & (head.outside_mm < 2)
    share = torch.maximum(share, lining * float(rng.uniform(0, 0.8)))
    if rng.random() < 0.5:
        inside = (head.shares[1] > 0.8).nonzero()
        centre = inside[int(rng.integers(len(inside)))] if len(inside) else torch.tensor(signal.shape) // 2
        axes = [(torch.arange(n) - c) * h for n, c, h in zip(signal.shape, centre, grid.fine_mm, strict=True)]
        distance = sum(a**2 for a in torch.meshgrid(*axes, indexing="ij")).sqrt()  # type: ignore[union-attr]
        radius = float(rng.uniform(3, 16))
        share = torch.maximum(share, (distance < radius) * 1.0)
        share[distance < radius * float(rng.uniform(0, 0.8))] = 0
    return signal * (1 - share) + bright * share


def _dephase(
    signal: torch.Tensor, iron: torch.Tensor, grid: Grid, warp: Warp, te_ms: float, rng: np.random.Generator
) -> torch.Tensor:
    """Return the complex signal at the echo time: darker with iron, turned by the field of air and iron."""
    rate = float(rng.choice(B0_TESLA)) * te_ms * 1e-3
    field = float(rng.uniform(0.2, 0.9)) * air_on_grid(grid, warp, rng) + 0.4 * iron
    offset = smooth_noise(rng, grid.fine_mm, grid.fine_shape, scale_mm=80) * float(rng.uniform(0, 4))
    angle = GYROMAGNETIC * rate * field + offset
    return torch.polar(signal * torch.exp(-RELAXIVITY * rate * iron), angle)


def _no_head(grid: Grid, rng: np.random.Generator) -> torch.Tensor:
    """Return something that is no head: noise, a bottle with balls, or a trunk of lumps."""
    kind = rng.integers(3)
    if kind == 0:
        return smooth_noise(rng, grid.fine_mm, grid.fine_shape, float(rng.uniform(3, 20))) * float(rng.uniform(0, 0.3))
    axes = [torch.linspace(-1, 1, n) for n in grid.fine_shape]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    body = (x / float(rng.uniform(0.5, 1))) ** 2 + (y / float(rng.uniform(0.4, 1))) ** 2 < 1
    if kind == 1:
        signal = body * 1.0
        for _ in range(int(rng.integers(0, 12))):
            a, b, c = rng.uniform(-0.7, 0.7, 3)
            ball = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < float(rng.uniform(0.03, 0.3)) ** 2
            signal[ball & body] = float(rng.uniform(0, 2))
        return signal
    lumps = smooth_noise(rng, grid.fine_mm, grid.fine_shape, float(rng.uniform(10, 30)))
    levels = torch.from_numpy(rng.uniform(0, 1, 5)).float()
    return levels[torch.bucketize(lumps, torch.tensor([-1.0, -0.3, 0.3, 1.0]))] * body


def _measure(recipe: Recipe, kind: str, signal: torch.Tensor, grid: Grid, rng: np.random.Generator) -> torch.Tensor:
    """Return magnitude or phase on the acquisition grid: partial volumes, shading, ghost, noise, resolution."""
    parts = (signal.real, signal.imag) if signal.is_complex() else (signal, torch.zeros_like(signal))
    clean = torch.complex(*(grid.average(part) for part in parts))
    clean = clean * smooth_noise(rng, grid.voxel_mm, clean.shape, scale_mm=70).mul(float(rng.uniform(0, 0.35))).exp()
    if recipe.coils:
        clean = clean * coil_shading(rng, clean.shape)
    if recipe.planar:
        clean = clean + float(rng.uniform(0, 0.08)) * clean.roll(clean.shape[1] // 2, dims=1)
    bright = float(np.quantile(clean.abs().numpy(), 0.9))
    sigma = bright / float(np.exp(rng.uniform(*np.log(recipe.snr))))
    raw = torch.from_numpy(rng.standard_normal((2, *clean.shape), dtype=np.float32)) * sigma
    noisy = clean + torch.complex(raw[0], raw[1])
    noisy = zero_filled(noisy, float(rng.uniform(0.6, 1)) if rng.random() < 0.5 else 1.0)
    if kind == "raw phase":
        return noisy.angle()
    return noisy.real if kind == "field" else noisy.abs()
