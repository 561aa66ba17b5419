"""Sign of the susceptibility of lesions, as phase images or QSM tell it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Susceptibility:
    """What a phase image or QSM says of the lesions of an instance map.

    Attributes:
        sign: of :data:`SIGNS`, by the number of the lesion.
        contrast: see :func:`lesion_contrast`, by the number of the lesion; positive is paramagnetic. NaN where the
            phase's convention cannot be told.
        kind: ``"phase"`` or ``"qsm"``.
        convention: 1 where phases grow with the field, -1 where they fall, 0 where it cannot be told; 1 of QSM.
        evidence: for the convention, see :func:`phase_convention`; NaN of QSM.
        file: name of the file, where there is one.
    """

    sign: dict[int, str]
    contrast: dict[int, float]
    kind: str
    convention: int
    evidence: float
    file: str = ""
