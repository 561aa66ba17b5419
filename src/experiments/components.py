"""Our own ablation: which parts of the cascade earn their place, on mixed protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..io.splits import SECTIONS
from ..metrics import froc
from .sizes import Size
from .study import CASCADE, THRESHOLDS, Item, Study, Variant
from .tables import NOTE, plot_froc, rates_row, write_results

PRESETS = ("ukbb", "oxvasc", "qsm")
ISOTROPIC: dict[str, Any] = {
    f"network_def#{part}#strides": [[2, 2, 2], [2, 2, 2]] for part in ("detector", "discriminator")
} | {"transforms#crop#k_divisible": [4, 4, 4]}
NO_KD = "train_student_no_kd"
STAGES = ("train_detector", NO_KD)
VARIANTS = {
    "nothing": Variant("default", (NO_KD,)),
    "without FRST": Variant("no_frst", (NO_KD, "no_frst")),
    "without N4": Variant("no_n4", (NO_KD,), {"transforms#bias#_disabled_": True}),
    "with vessel inpainting": Variant("inpaint", (NO_KD, "inpaint_vessels")),
    "isotropic pooling": Variant("isotropic", (NO_KD,), ISOTROPIC),
}
WITH_KD = Variant("kd")
CLEAN_UP: dict[str, dict[str, float | None]] = {
    "no clean-up": {"clean_up#min_volume_mm3": None},
    "clean-up: ellipticity at most 0.2": {"clean_up#max_ellipticity": 0.2},
    "clean-up: 5 mm from the edge": {"clean_up#min_edge_mm": 5.0},
}


def components(study: Study, size: Size, match: str = "distance") -> Path:
    """Change one part at a time, train, and measure on mixed protocols; return the folder of table and picture."""
    sections = {name: mixed(study, getattr(size, name), seed) for seed, name in enumerate(SECTIONS, start=1)}
    data = study.data("mixed", **sections)
    trained = {name: study.train(data, STAGES, variant) for name, variant in VARIANTS.items()}
    default = trained["nothing"]
    runs = [(name, trained[name], variant) for name, variant in VARIANTS.items()]
    with_kd = study.train(data, CASCADE[1:], WITH_KD, detector=default)
    runs.append(("with KD", with_kd, WITH_KD))
    runs += [(name, default, Variant(f"clean_up_{k}", settings=CLEAN_UP[name])) for k, name in enumerate(CLEAN_UP)]
    rows, curves = [], {}
    for name, weights, variant in runs:
        index, test = study.chosen(data, weights, variant, match)
        rows.append({"changed": name, "threshold": round(THRESHOLDS[index], 4), **rates_row(test[:, index], match)})
        curves[name] = froc(test, THRESHOLDS, match)
    notes = [
        f"{len(PRESETS)} simulated protocols ({', '.join(PRESETS)}), {size.training} training, {size.validation} "
        f"validation and {size.test} test subjects in all; thresholds of the best F1 on validation subjects. "
        "Students learn from labels alone, but for the row with KD.",
        NOTE.format(match=match, seeds=0),
    ]
    write_results(rows, study.out / "components", "Components: one change at a time", notes)
    networks = {name: curve for name, curve in curves.items() if name not in CLEAN_UP}
    rules = {name: curves[name] for name in ("nothing", *CLEAN_UP)}
    plot_froc({"networks and preprocessing": networks, "clean-up": rules}, study.out / "froc.png")
    return study.out


def mixed(study: Study, subjects: int, seed: int) -> list[Item]:
    """Return subjects of all presets, as many of each as possible."""
    shares = [len(range(k, subjects, len(PRESETS))) for k in range(len(PRESETS))]
    return [
        item
        for preset, share in zip(PRESETS, shares, strict=True)
        if share
        for item in study.cohort(preset, share, seed)
    ]
