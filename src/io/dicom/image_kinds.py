"""What a DICOM image shows, by the words with which vendors and workstations tag it."""

import re
from collections.abc import Collection

PARTS = ("phase", "complex")
"""Kinds of images that do not show tissue by itself, see :func:`image_kind`."""
GE_TYPE, GE_TYPES = 0x0043102F, {1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
"""Private tag in which GE tells what ImageType does not."""
PHASE_WORDS = {"P", "PHASE", "PHASE MAP"}
MAGNITUDE_WORDS = {"M", "MAGNITUDE", "M FFE", "M SE", "M IR", "M PCA", "SWI"}
PHASE_TEXT = re.compile(r"\bFILT PHA|\bPHA(SE)? (MAP|IMA?GE?)S?\b|^PHA(SE)?$")
"""For example "Filt_Pha: Ax SWAN" and "relative phase map"; not "phase encoding" nor "arterial phase"."""
PROJECTION = re.compile(
    r"M(IN|AX|N|X)?IPS?(?![A-Z])|M(IN)?IP(SW|IMAGE|THI)"  # mIP_Images(SW), SWIminIP, MNIP, MIP8
    r"|\bM(IN|AX)(IM\w*)? ?(I ?P\b|INT)|\bPROJ\b|PROJE[CK]|PROYE"  # MIN IP, minimum intensity projection
)
PROJECTION_WORDS = {"MIN", "MINIMUM", "MAX", "MAXIMUM"}
REFORMATTED = re.compile(
    r"\bC?MPRS?\b|\bMPVR\b|REFORMAT|\bRE?FMT\b|CSA ?(PARALLEL|RADIAL)|\bCPR\b|RESAMPLED|RENDER|\bVRT\b"
)
AVERAGE_WORDS = {"AVERAGE", "MEAN", "SUM", "ADDITION"}
SWI = re.compile(r"SWI(?!SS|NG|TCH)|SWAN|FSBB|VEN ?BOLD|\bBSI\b|\bSW IMAGES?\b|SUSC\w* ?W(EI|T)")
"""Names of susceptibility-weighted images: of Siemens and all, GE, Canon, Philips and Hitachi."""


def image_kind(types: Collection[str], *texts: str) -> str:
    """Return what an image shows: ``"magnitude"`` (also SWI), ``"phase"``, ``"complex"`` (real or imaginary part) or
    ``"derived"`` (maps, projections, reformatted images; see :func:`derivation`).

    Args:
        types: values of the DICOM tag ImageType, or of FrameType.
        texts: description of the series, comment on the image, description of the derivation.
    """
    words = {_plain(word) for word in types}
    by_text = not words & MAGNITUDE_WORDS and any(PHASE_TEXT.search(_plain(text)) for text in texts)
    if words & PHASE_WORDS or by_text:
        return "phase"
    if words & {"REAL", "IMAGINARY"}:
        return "complex"
    return "derived" if derivation(types, *texts) else "magnitude"


def derivation(types: Collection[str], *texts: str) -> str:
    """Return how an image was made from others; empty where it is an original, as SWI of a scanner is.

    The scanners of Philips and Canon call their own SWI derived: it is one where it is "PRIMARY" all the same. "MPR" in
    the description of an original means MPRAGE.

    Args:
        types: see :func:`image_kind`.
        texts: see :func:`image_kind`.
    """
    words = {_plain(word) for word in types}
    typed, text = " | ".join(sorted(words)), " | ".join(_plain(text) for text in texts)
    derived = "DERIVED" in words
    if PROJECTION.search(f"{typed} | {text}") or words & PROJECTION_WORDS:
        return "intensity projection"
    if REFORMATTED.search(typed) or (derived and REFORMATTED.search(text)):
        return "reformatted image"
    if derived and words & AVERAGE_WORDS:
        return "average"
    if derived and "SECONDARY" in words:
        return "secondary image of a workstation"
    return "derived image" if derived and not is_swi(types, *texts) else ""


def is_swi(types: Collection[str], *texts: str) -> bool:
    """Return whether an image calls itself susceptibility-weighted; arguments as of :func:`image_kind`."""
    return any(SWI.search(_plain(text)) for text in (*types, *texts))


def _plain(text: str) -> str:
    """Return a text in capital letters and digits, other characters as one space."""
    return re.sub(r"[^A-Z0-9]+", " ", text.upper()).strip()
