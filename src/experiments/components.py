"""Our own ablation: which parts of the cascade earn their place, on mixed protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..splits import SECTIONS
from .sizes import Size
from .study import THRESHOLDS, Item, Study, Variant
from .tables import rates_row, write_table

PRESETS = ("ukbb", "oxvasc", "shk", "qsm")
ISOTROPIC: dict[str, Any] = {
    f"network_def#{part}#strides": [[2, 2, 2], [2, 2, 2]] for part in ("detector", "discriminator")
} | {"image_transforms#10#k_divisible": [4, 4, 4]}
VARIANTS = {
    "bundle's defaults": Variant("default"),
    "without FRST": Variant("no_frst", ("no_frst",)),
    "without N4": Variant("no_n4", settings={"image_transforms#7#_disabled_": True}),
    "with vessel inpainting": Variant("inpaint", ("inpaint_vessels",)),
    "isotropic pooling": Variant("isotropic", settings=ISOTROPIC),
}
CLEAN_UP: dict[str, dict[str, float | None]] = {
    "no clean-up": {"clean_up#min_volume_mm3": None},
    "clean-up: ellipticity at most 0.2": {"clean_up#max_ellipticity": 0.2},
    "clean-up: 5 mm from the edge": {"clean_up#min_edge_mm": 5.0},
}


def components(study: Study, size: Size, match: str = "distance") -> Path:
    """Change one part at a time, train, and measure on a mixture of protocols; return the folder of the table."""
    sections = {name: _mixed(study, getattr(size, name), seed) for seed, name in enumerate(SECTIONS, start=1)}
    data = study.data("mixed", **sections)
    trained = {
        name: study.train(data, ["train_detector", "train_teacher", "train_student"], variant)
        for name, variant in VARIANTS.items()
    }
    default = trained["bundle's defaults"]
    alone = study.train_without_teacher(data, default)
    runs = [(name, trained[name], variant) for name, variant in VARIANTS.items()]
    runs.append(("without KD", alone, Variant("no_kd")))
    runs += [(name, default, Variant(f"clean_up_{k}", settings=CLEAN_UP[name])) for k, name in enumerate(CLEAN_UP)]
    rows = []
    for name, weights, variant in runs:
        index, test = study.chosen(data, weights, variant, match)
        rows.append({"changed": name, "threshold": round(THRESHOLDS[index], 4), **rates_row(test[:, index], match)})
    notes = [
        f"{len(PRESETS)} simulated protocols ({', '.join(PRESETS)}), {size.training} training, {size.validation} "
        f"validation and {size.test} test subjects in all; thresholds of the best F1 on validation subjects.",
        f"Lesions matched by {match}; 95 % bootstrap intervals over subjects; seed 0. Research use only.",
    ]
    write_table(rows, study.out / "components", "Components: one change at a time", notes)
    return study.out


def _mixed(study: Study, subjects: int, seed: int) -> list[Item]:
    """Return subjects of all presets, as many of each as possible."""
    shares = [len(range(k, subjects, len(PRESETS))) for k in range(len(PRESETS))]
    return [
        item
        for preset, share in zip(PRESETS, shares, strict=True)
        if share
        for item in study.cohort(preset, share, seed)
    ]
