"""One simulated subject: from a protocol and a seed to images on the scanner's grid and the truth about them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ..anatomy.mars import mars_at
from ..anatomy.regions import region_at
from ..checks import check_one_of
from .acquisition import acquire, extracted
from .anatomy import random_warp
from .blobs import Blob
from .grid import Grid, make_grid
from .head_model import build_head
from .lesions import PHENOTYPES, draw_person, random_microbleeds
from .mimics import random_mimics
from .protocols import Protocol
from .vessels import random_veins

VEIN_PPM = 0.06  # mean susceptibility from which a voxel counts as vein: a sixth of it blood


@dataclass
class Subject:
    """A simulated scan with everything that is known about it; volumes are (H, W, D).

    Args:
        images: ``"swi"`` and ``"mag"`` (arbitrary units, brain mean of the magnitude 1000), ``"phase"`` (high-pass
            filtered, radians) and ``"qsm"`` (ppm), float32.
        mask: brain, uint8.
        label: microbleeds 1..n in the order of ``lesions``, int16.
        vessels: visible veins, uint8.
        mimics: codes of :data:`csvd.phantom.MIMICS`, uint8.
        affine: (4, 4) voxel to RAS mm, float64.
        lesions: id, x, y, z (RAS mm), radius_mm, chi_ppm, region, side and MARS region of each microbleed.
        age: in years.
        sex: ``"F"`` or ``"M"``.
        csvd: ``"healthy"``, ``"aSVD"``, ``"CAA"`` or ``"CADASIL"``.
        protocol: what was drawn from the preset.
    """

    images: dict[str, torch.Tensor]
    mask: torch.Tensor
    label: torch.Tensor
    vessels: torch.Tensor
    mimics: torch.Tensor
    affine: torch.Tensor
    lesions: list[dict[str, int | float | str]]
    age: float
    sex: str
    csvd: str
    protocol: Protocol


def simulate_subject(
    protocol: Protocol,
    seed: int,
    index: int = 0,
    phenotype: str | None = None,
    head: bool = False,
    device: torch.device | str = "cpu",
) -> Subject:
    """Simulate subject ``index`` of a cohort; the result, on the CPU, depends on the arguments alone.

    Args:
        protocol: a value of :data:`csvd.phantom.PROTOCOLS`, or one's own.
        seed: seed of the cohort.
        index: number of the subject in the cohort.
        phenotype: ``"healthy"``, ``"aSVD"``, ``"CAA"`` or ``"CADASIL"``; drawn when not given.
        head: with skull and scalp; otherwise images are zero outside the brain.
        device: where field and signal are computed; another one changes the last bits.

    Raises:
        ValueError: ``phenotype`` is none of these.
    """
    if phenotype is not None:
        check_one_of("phenotype", phenotype, PHENOTYPES)
    # One stream per stage, so that a change in one leaves the others as they were.
    scanner, who, shape, location, vein, paint, noise = (
        np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(7)
    )
    with one_thread(), torch.inference_mode():
        protocol = protocol.vary(protocol, scanner)
        csvd, age, sex = draw_person(who, phenotype)
        warp = random_warp(shape, protocol.pose_deg, age)
        grid = make_grid(protocol, warp, shape, head)
        margin_mm = 2 * float(grid.voxel_mm.norm())
        veins = random_veins(vein, protocol.veins)
        lesions = random_microbleeds(location, protocol, csvd, warp, veins, margin_mm)
        lesions = [lesion for lesion in lesions if _is_inside(lesion, grid)]
        mimics = random_mimics(location, protocol, warp, age, lesions, margin_mm)
        mask_mm = protocol.software.mask_mm
        head_model = build_head(
            protocol, grid, warp, veins, [*mimics, *lesions], paint, age, head or mask_mm > 0, device
        )
        mask = extracted(grid.average(head_model.brain) > 0.5, grid.voxel_mm, mask_mm, noise)
        images = acquire(protocol, grid, warp, head_model, mask, noise)
        if not head:
            images = {name: image * mask for name, image in images.items()}
    return Subject(
        images={name: grid.embed(image.float().cpu()) for name, image in images.items()},
        mask=grid.embed(mask.to(torch.uint8).cpu()),
        label=grid.embed(head_model.label.cpu()),
        vessels=grid.embed(((head_model.vessels > VEIN_PPM) & mask).to(torch.uint8).cpu()),
        mimics=grid.embed(head_model.mimics.cpu()),
        affine=grid.affine.double(),
        lesions=_table(lesions),
        age=age,
        sex=sex,
        csvd=csvd,
        protocol=protocol,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums over more threads differ in the last bit, and so would the bytes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _is_inside(lesion: Blob, grid: Grid) -> bool:
    """Return whether the whole of a lesion lies in the field of view."""
    index = torch.linalg.inv(grid.affine)[:3] @ torch.cat([lesion.centre_mm, torch.ones(1)])
    reach = lesion.radius_mm / grid.voxel_mm + 0.5
    return all(s.start <= i - r and i + r <= s.stop - 1 for i, r, s in zip(index, reach, grid.box, strict=True))


def _table(lesions: list[Blob]) -> list[dict[str, int | float | str]]:
    """Return the rows of the lesion table."""
    if not lesions:
        return []
    points_mni = torch.stack([lesion.mni_mm for lesion in lesions])
    locations = zip(lesions, region_at(points_mni), mars_at(points_mni), strict=True)
    rows: list[dict[str, int | float | str]] = []
    for number, (lesion, (region, side), mars) in enumerate(locations, start=1):
        x, y, z = (round(float(v), 2) for v in lesion.centre_mm)
        rows.append(
            {
                "id": number,
                "x_mm": x,
                "y_mm": y,
                "z_mm": z,
                "radius_mm": round(lesion.radius_mm, 2),
                "chi_ppm": round(lesion.chi_ppm, 2),
                "region": region,
                "side": side,
                "mars": mars,
            }
        )
    return rows
