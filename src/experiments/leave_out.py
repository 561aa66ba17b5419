"""How what was learnt without a family of scans holds on that family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..metrics import froc
from .components import NO_KD, STAGES
from .sizes import Size
from .study import THRESHOLDS, Item, Study, Variant
from .tables import NOTE, plot_froc, rates_row, write_results

FAMILIES: dict[str, Callable[[Item], bool]] = {
    "QSM": lambda item: item["contrast"] == "bright",
    "magnitude": lambda item: str(item["image"]).endswith("_mag.nii.gz"),
    "slices of 4 mm or more": lambda item: item["slice_mm"] >= 4,
    "5 T or more": lambda item: item["b0_tesla"] >= 5,
    "haemorrhage": lambda item: bool(item["haemorrhage"]),
}
CASCADE = Variant("cascade", (NO_KD,))


def leave_out(study: Study, size: Size, match: str = "overlap") -> Path:
    """Train on random scanners, once with all scans and once without each family; return the folder of the table.

    Each family has two rows, both on its own test scans: of the cascade that never saw it, and of that which did.
    """
    sections = random_scanners(study, size)
    training, validation, test = sections.values()
    whole = study.data("all", **sections)
    trained = study.train(whole, STAGES, CASCADE)
    chosen, counts = study.chosen(whole, trained, CASCADE, match)
    rows = [{"test scans": "all", "trained on": "all", **rates_row(counts[:, chosen], match)}]
    curves = {"all": froc(counts, THRESHOLDS, match)}
    for name, belongs in FAMILIES.items():
        slug = name.replace(" ", "_")
        own = [item for item in test if belongs(item)]
        if not own:
            rows.append({"test scans": name, "subjects": 0})
            continue
        rest = {
            "training": [item for item in training if not belongs(item)],
            "validation": [item for item in validation if not belongs(item)],
        }
        data = study.data(f"without_{slug}", **rest, test=own)
        weights = study.train(data, STAGES, CASCADE)
        index, counts = study.chosen(data, weights, CASCADE, match)
        rows.append({"test scans": name, "trained on": "all others", **rates_row(counts[:, index], match)})
        curves[name] = froc(counts, THRESHOLDS, match)
        only = study.data(f"only_{slug}", training=training, validation=validation, test=own)
        counts = study.measure(only, trained, CASCADE)[match]
        rows.append({"test scans": name, "trained on": "all", **rates_row(counts[:, chosen], match)})
    notes = [
        f"{subjects_note(size)}; thresholds of the best F1 on validation scans without the family.",
        NOTE.format(match=match, seeds=0),
    ]
    write_results(rows, study.out / "leave-out", "Leave one family out", notes)
    plot_froc({"the family is unseen": curves}, study.out / "froc.png")
    return study.out


def random_scanners(study: Study, size: Size) -> dict[str, list[Item]]:
    """Return the items of each section: subjects to learn from, and others with as many lesions as patients."""
    return {
        "training": study.cohort("random", size.training, 1),
        "validation": study.cohort("patients", size.validation, 2),
        "test": study.cohort("patients", size.test, 3),
    }


def subjects_note(size: Size) -> str:
    """Say who the subjects of :func:`random_scanners` are."""
    return (
        f"{size.training} training subjects of the preset random, {size.validation} validation and {size.test} test "
        "subjects of patients, simulated, each with SWI, magnitude and QSM"
    )
