"""The scanner protocols that can be simulated: geometry, timing and what is usually found in that cohort."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ..checks import check_between, check_positive
from .software import PHASE_MASKS, Software

BLOOM = 1.5  # chosen so that on SWI at 3 T and 20 ms what is marked is what is dark


def _unchanged(protocol: "Protocol", rng: np.random.Generator) -> "Protocol":
    return protocol


@dataclass(frozen=True)
class Protocol:
    """One acquisition and the population that it scans.

    Args:
        name: name of the preset.
        voxel_mm: voxel size along right, anterior and superior, in mm.
        matrix: number of voxels along the same axes; ``None`` takes as many as the brain needs.
        te_ms: echo time.
        tr_ms: repetition time.
        flip_deg: flip angle.
        b0_tesla: field strength.
        snr: mean brain magnitude over the standard deviation of the noise.
        kspace: share of k-space measured in the slice; the rest is filled with zeros.
        tissue_spread: relative standard deviation of proton density, T1 and R2* of each tissue.
        fine_mm: no voxel of the simulation is longer than this.
        contrasts: images that the data list names, of ``"swi"``, ``"mag"`` and ``"qsm"``.
        filter_cycles_per_mm: radius of the homodyne low-pass window in k-space.
        phase_power: how often the phase mask multiplies the magnitude in SWI.
        bias: standard deviation of the logarithm of the receive field.
        air: share of the field of sinuses and ears that the shim leaves.
        pose_deg: standard deviation of the three head rotations.
        oblique_deg: tilt of the slices against the scanner's transverse plane.
        veins: density of veins relative to an average brain.
        lesions: median number of microbleeds of a subject who has any.
        radius_mm: median radius of a microbleed as readers mark it.
        irregular: spread of the logarithm of the half axes of microbleeds.
        bloom: ratio of the marked radius to that of the deposit, see :class:`csvd.phantom.blobs.Blob`.
        painted: probability that a microbleed is a dark ball without any susceptibility, as other simulators plant it.
        special: probability that a microbleed is drawn beside another one, beside a vein or near the surface.
        haemorrhage: probability of a large haemorrhage in a subject who has microbleeds.
        mimics: how many times as many of what follows, and of the usual calcifications, as are stated.
        calcifications: mean number of calcifications in tissue, other than those at the usual places.
        plexus: mean number of calcifications of the choroid plexus elsewhere than in the atria of the ventricles.
        cavernomas: mean number.
        lacunes: mean number of lacunes and widened perivascular spaces.
        any_contrast: tissues have signals at random, not those of a gradient echo.
        texture: standard deviation of the logarithm of what varies within a tissue.
        software: what is done to the images.
        vary: draws the protocol of one subject from this one.

    Raises:
        ValueError: a length, a time or the field is not positive, or a probability not in [0, 1].
    """

    name: str
    voxel_mm: tuple[float, float, float]
    matrix: tuple[int, int, int] | None
    te_ms: float
    tr_ms: float
    flip_deg: float
    b0_tesla: float = 3.0
    snr: float = 28.0
    kspace: float = 1.0
    tissue_spread: float = 0.05
    fine_mm: float = 0.9
    contrasts: tuple[str, ...] = ("swi",)
    filter_cycles_per_mm: float = 0.16
    phase_power: float = 4.0
    bias: float = 0.15
    air: float = 0.35
    pose_deg: float = 6.0
    oblique_deg: float = 0.0
    veins: float = 1.0
    lesions: float = 3.0
    radius_mm: float = 1.4
    irregular: float = 0.1
    bloom: float = BLOOM
    painted: float = 0.0
    special: float = 0.0
    haemorrhage: float = 0.03
    mimics: float = 1.0
    calcifications: float = 0.4
    plexus: float = 0.0
    cavernomas: float = 0.0
    lacunes: float = 0.0
    any_contrast: bool = False
    texture: float = 0.0
    software: Software = field(default_factory=Software)
    vary: Callable[["Protocol", np.random.Generator], "Protocol"] = _unchanged

    def __post_init__(self) -> None:
        for size in self.voxel_mm:
            check_positive("voxel_mm", size)
        physics = ("te_ms", "tr_ms", "flip_deg", "b0_tesla", "snr", "fine_mm", "filter_cycles_per_mm")
        for name in (*physics, "radius_mm", "lesions", "mimics"):
            check_positive(name, getattr(self, name))
        for name in ("haemorrhage", "painted", "special"):
            check_between(name, getattr(self, name), 0, 1)


def _mixed_field(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    """Draw 1.5 T or 3 T, with the longer echo time that 1.5 T needs for the same phase."""
    if rng.random() < 0.5:
        return protocol
    return replace(protocol, b0_tesla=1.5, te_ms=2 * protocol.te_ms, tr_ms=protocol.tr_ms + 22, snr=protocol.snr * 0.7)


def _randomise(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    """Draw everything that differs between scanners, in the spirit of SynthSeg (Billot et al. 2023).

    The smallest voxel is 1.3 mm3, which keeps a brain below 3 million voxels; echo times shorten with the field.
    Calcifications away from their usual places are rare, as in people: without phase they look like microbleeds.
    """
    slice_mm = float(np.exp(rng.uniform(np.log(1), np.log(5))))
    finest = max(0.4, float(np.sqrt(1.3 / slice_mm)))
    inplane = float(np.exp(rng.uniform(np.log(finest), np.log(max(1.2, finest + 0.1)))))
    b0 = float(rng.choice([1.5, 3.0, 3.0, 7.0, rng.uniform(1.5, 7)]))
    te_ms = float(np.clip(rng.uniform(15, 45) * (3 / b0) ** 0.7, 10, 45))
    long_tr = rng.random() < 0.4
    return replace(
        protocol,
        voxel_mm=(inplane, inplane * float(rng.uniform(0.9, 1.1)), slice_mm),
        te_ms=te_ms,
        tr_ms=float(rng.uniform(400, 900)) if long_tr else te_ms + float(rng.uniform(5, 25)),
        flip_deg=float(rng.uniform(15, 35)) if long_tr else float(rng.uniform(8, 22)),
        b0_tesla=b0,
        snr=float(np.exp(rng.uniform(np.log(10), np.log(50)))),
        kspace=float(rng.uniform(0.6, 1)) if rng.random() < 0.5 else 1.0,
        tissue_spread=float(rng.uniform(0.03, 0.15)),
        filter_cycles_per_mm=float(rng.uniform(0.08, 0.25)),
        phase_power=float(rng.uniform(2, 5)),
        bias=float(rng.uniform(0, 0.3)),
        air=float(rng.uniform(0, 0.8)),
        oblique_deg=float(rng.uniform(0, 20)) if rng.random() < 0.5 else 0.0,
        veins=float(np.exp(rng.uniform(np.log(0.4), np.log(2)))),
        radius_mm=float(rng.uniform(1.1, 1.7)) * (0.9 + 0.1 * slice_mm),
        irregular=float(rng.uniform(0.03, 0.2)),
        bloom=float(rng.uniform(1.2, 1.8)),
        painted=0.35,
        special=0.5,
        calcifications=float(rng.uniform(0, 0.3)),
        plexus=0.2,
        cavernomas=0.15,
        lacunes=float(rng.uniform(0, 2)),
        any_contrast=bool(rng.random() < 0.35),
        texture=float(rng.uniform(0, 0.12)),
        software=_random_software(rng),
    )


def _random_software(rng: np.random.Generator) -> Software:
    """Draw what scanners and tools do to images."""
    return Software(
        kspace_slice=float(rng.uniform(0.6, 1)) if rng.random() < 0.3 else 1.0,
        taper=float(rng.uniform(0.1, 1)) if rng.random() < 0.5 else 0.0,
        motion_mm=float(rng.uniform(0.05, 0.4)) if rng.random() < 0.3 else 0.0,
        phase_mask=str(rng.choice(PHASE_MASKS, p=[0.6, 0.25, 0.15])),
        phase_sign=int(rng.choice([-1, 1])),
        division=float(rng.uniform(0.08, 0.25)),
        background=float(rng.uniform(0, 0.15)),
        qsm_blur=float(rng.uniform(0.2, 0.8)) if rng.random() < 0.5 else 0.0,
        gamma=float(rng.uniform(0.7, 1.4)),
        bits=int(rng.choice([8, 12, 16])),
        mask_mm=float(rng.uniform(0.3, 2)) if rng.random() < 0.6 else 0.0,
    )


_SWI3T = Protocol("ukbb", voxel_mm=(0.8, 0.8, 3.0), matrix=(256, 288, 48), te_ms=20, tr_ms=27, flip_deg=15)

_RANDOM = replace(
    _SWI3T,
    name="random",
    matrix=None,
    contrasts=("swi", "mag", "qsm"),
    pose_deg=12,
    lesions=25,  # to learn from: more than patients have
    mimics=4,
    haemorrhage=0.15,
    vary=_randomise,
)

# Geometry and timing: Sundaresan et al. 2023, section 3, and Chen et al. 2019; what they leave out is noted.
PROTOCOLS: dict[str, Protocol] = {
    "ukbb": _SWI3T,
    # The paper's 640 x 640 matrix at 0.9 x 0.8 mm would span 576 mm: here it covers the head at that voxel size.
    "oxvasc": replace(
        _SWI3T,
        name="oxvasc",
        voxel_mm=(0.9, 0.8, 5.0),
        matrix=(224, 272, 25),
        te_ms=15,
        tr_ms=504,
        flip_deg=20,
        snr=35,
        kspace=0.8,
        radius_mm=1.9,  # without a phase mask smaller ones are not seen in 5 mm slices
        contrasts=("mag",),
    ),
    # Timing and geometry varied between centres; these are typical of clinical SWI.
    "tich2": replace(
        _SWI3T,
        name="tich2",
        voxel_mm=(0.9, 0.9, 2.0),
        matrix=(224, 256, 72),
        lesions=4,
        haemorrhage=0.85,
        vary=_mixed_field,
    ),
    # Dou et al. 2016: 0.45 x 0.45 x 2 mm with 1 mm spacing, 512 x 512 x 150, TE 24 ms, TR 17 ms (echo-shifted), 3 T.
    "shk": replace(
        _SWI3T,
        name="shk",
        voxel_mm=(0.45, 0.45, 1.0),
        matrix=(512, 512, 150),
        te_ms=24,
        tr_ms=30,
        flip_deg=20,
        snr=12,
        lesions=4,
    ),
    "ucsf7t": replace(
        _SWI3T,
        name="ucsf7t",
        voxel_mm=(0.5, 0.5, 2.0),
        matrix=(480, 480, 72),
        te_ms=16,
        tr_ms=50,
        b0_tesla=7.0,
        lesions=8,
        bias=0.3,
    ),
    "ucsf3t": replace(
        _SWI3T,
        name="ucsf3t",
        voxel_mm=(0.5, 0.5, 2.0),
        matrix=(480, 480, 72),
        te_ms=28,
        tr_ms=46,
        flip_deg=20,
        snr=15,
        lesions=8,
    ),
    # Cavernous malformations: more and larger lesions than in small vessel disease.
    "ccm3t": replace(
        _SWI3T,
        name="ccm3t",
        voxel_mm=(1.0, 1.0, 1.5),
        matrix=(256, 192, 96),
        te_ms=20,
        tr_ms=28,
        lesions=12,
        radius_mm=1.9,
    ),
    "qsm": replace(_SWI3T, name="qsm", contrasts=("qsm",)),
    "random": _RANDOM,
    "patients": replace(_RANDOM, name="patients", lesions=4, mimics=1),
}
