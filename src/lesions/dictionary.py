"""Data dictionaries of the tables: what each column is called, what it holds, its unit and its values, as BIDS asks."""

from collections.abc import Mapping
from typing import Any

from ..anatomy.mars import MARS
from ..anatomy.regions import MIDLINE_MM, REGIONS
from .burden import ARIA_H_RANGES, COUNT_RANGES
from .outlines import LARGEST_MM

NAMES = {
    "case": "scan",
    "qc": "quality control",
    "n_lesions": "number of suspected microbleeds",
    "n_no_region": "number of microbleeds without a region",
    "n_large": f"number of lesions longer than {LARGEST_MM:g} mm",
    "n_warnings": "number of warnings",
    "aria_h_range": "ARIA-H count range",
    "regions": "method of the regions",
    "id": "number of the lesion",
    **{f"{axis}_mm": f"{axis} of the centroid" for axis in "xyz"},
    **{axis: f"voxel index {axis} of the centroid" for axis in "ijk"},
    "diameter_mm": "equivalent diameter",
    "longest_mm": "longest diameter in a slice",
    "slices": "number of slices",
    "large": f"longer than {LARGEST_MM:g} mm",
    "contrast_percent": "contrast",
    "difference": "difference to the background",
    "cnr": "contrast-to-noise ratio",
    "mars": "region of the Microbleed Anatomical Rating Scale",
    "edge_mm": "distance to the edge of the brain",
    "subtype": "subtype of cerebral small vessel disease",
}
"""Names of columns whose own name says too little."""

UNITS = {"_mm": "mm", "_mm3": "mm^3", "_ml": "mL", "_percent": "%"}
"""Units by the end of a column's name."""

UNITS_OF = {"difference": "arbitrary", "median_intensity": "arbitrary", "age": "year"}

LEVELS: dict[str, dict[str, str]] = {
    "status": {"ok": "the scan has a result", "failed": "the scan has none, see reason"},
    **{
        name: {text: f"{text} suspected microbleeds" for text in ranges.values()}
        for name, ranges in (("count_range", COUNT_RANGES), ("aria_h_range", ARIA_H_RANGES))
    },
    "pattern": {
        "none": "no microbleed",
        "strictly lobar": "lobar microbleeds alone",
        "strictly deep or infratentorial": "no lobar microbleed",
        "mixed": "lobar microbleeds, and deep or infratentorial ones",
    },
    "regions": {
        "registration": "the scan was registered to MNI152",
        "bounding box": "the bounding box of the brain was fitted to that of MNI152, less exact",
        "none": "the scan does not show a whole brain",
    },
    "large": {
        "0": "not longer, or not measured as longer",
        "1": f"longer than {LARGEST_MM:g} mm, by definition not a microbleed, and in no count",
    },
    "region": {
        "lobar": "cortex and the white matter below it",
        "deep": "basal ganglia, thalamus, capsules, corpus callosum, deep white matter",
        "infratentorial": "brainstem and cerebellum",
    },
    "side": {"left": "of the patient", "right": "of the patient", "midline": f"within {MIDLINE_MM:g} mm of it"},
    "mars": {name: f"{name}, {region}" for name, region in MARS.items()},
    "sex": {"F": "female", "M": "male"},
    "susceptibility": {
        "paramagnetic": "like blood",
        "diamagnetic": "like calcification",
        "unclear": "neither for sure",
    },
}
"""Values of columns that have few."""


def data_dictionary(columns: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return ``LongName``, ``Description`` and, where it has them, ``Units`` and ``Levels`` of each column.

    Args:
        columns: descriptions by name, such as :data:`csvd.lesions.COHORT_COLUMNS`.
    """
    return {name: _entry(name, words) for name, words in columns.items()}


def _entry(name: str, words: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"LongName": _long_name(name), "Description": words}
    units = UNITS_OF.get(name) or next((unit for end, unit in UNITS.items() if name.endswith(end)), None)
    if units is not None:
        entry["Units"] = units
    if name in LEVELS:
        entry["Levels"] = LEVELS[name]
    return entry


def _long_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    words = name.replace("_", " ")
    if name.removeprefix("n_") in REGIONS:
        return f"number of {words.removeprefix('n ')} microbleeds"
    if name.startswith("mars_"):
        return f"number of microbleeds, {words.removeprefix('mars ')}"
    for end in UNITS:
        words = words.removesuffix(end.replace("_", " "))
    return words
