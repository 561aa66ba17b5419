"""What a scanner's software, and the tools after it, do to the images: all of it off unless drawn."""

from dataclasses import dataclass

from ..checks import check_between, check_one_of, check_positive

PHASE_MASKS = ("positive", "symmetric", "susceptibility")


@dataclass(frozen=True)
class Software:
    """Reconstruction, filters, storage and brain extraction of one scan.

    Args:
        kspace_slice: share of k-space measured along the slices; the rest is filled with zeros.
        taper: share of k-space over which its border is faded out, against ringing.
        motion_mm: standard deviation of the head's shifts in plane while one scan is measured.
        phase_mask: of SWI: "positive" darkens positive phase, "symmetric" phase of either sign, "susceptibility" what
            is paramagnetic on QSM.
        phase_sign: 1 or -1: which way the vendor counts phases.
        division: threshold of the k-space division of QSM; streaks are stronger the lower it is.
        background: share of the field of the air that its removal leaves in QSM.
        qsm_blur: standard deviation in voxels by which regularisation smooths QSM.
        gamma: exponent of the intensities of magnitude and SWI.
        bits: a voxel of magnitude and SWI.
        mask_mm: standard deviation of how far the brain mask reaches beyond the brain, or falls short of it.

    Raises:
        ValueError: a share lies outside [0, 1], ``division``, ``gamma`` or ``bits`` is not positive, or there is no
            such mask.
    """

    kspace_slice: float = 1.0
    taper: float = 0.0
    motion_mm: float = 0.0
    phase_mask: str = "positive"
    phase_sign: int = 1
    division: float = 0.19
    background: float = 0.0
    qsm_blur: float = 0.0
    gamma: float = 1.0
    bits: int = 16
    mask_mm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("kspace_slice", "taper", "background"):
            check_between(name, getattr(self, name), 0, 1)
        for name in ("division", "gamma", "bits"):
            check_positive(name, getattr(self, name))
        check_one_of("phase_mask", self.phase_mask, PHASE_MASKS)
