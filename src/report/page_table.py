"""Columns of the table of lesions on the page, and the text of its cells."""

from math import isnan

from ..lesions import LARGEST_MM
from ..lesions.table import LESION_COLUMNS, UNKNOWN, Lesion

TITLES = {"i": "i", "j": "j", "k": "k", "x_mm": "x mm", "y_mm": "y mm", "z_mm": "z mm", "volume_mm3": "volume mm³"} | {
    "diameter_mm": "diameter mm",
    "longest_mm": "longest mm",
    "large": f"> {LARGEST_MM:g} mm",
    "contrast_percent": "contrast %",
    "cnr": "CNR",
    "detector_probability": "detector score",
    "edge_mm": "edge mm",
    "susceptibility_contrast": "susc. contrast",
}
FIRST = ("id", "x_mm", "y_mm", "z_mm", "probability", "region", "side", "mars", "diameter_mm", "longest_mm")
ORDER = (*FIRST, *(name for name in LESION_COLUMNS if name not in FIRST))
"""The columns that readers need most come first. The others are reached by scrolling."""
CLASSES = dict.fromkeys(("region", "side", "mars", "susceptibility"), "word")


def cell_text(lesion: Lesion, name: str) -> str:
    """Return the text of the cell of a lesion in column ``name``."""
    value = getattr(lesion, name)
    if not isinstance(value, float):
        return f"{value}"
    if isnan(value):
        return UNKNOWN
    if name == "difference":
        return f"{value:.3g}"
    return f"{value:.2f}" if "probability" in name or name == "ellipticity" else f"{value:.1f}"
