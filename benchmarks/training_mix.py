"""Writes the data list that the shipped detector was trained on: real scans to plant into, and simulated ones.

    python benchmarks/training_mix.py --backgrounds FOLDER --simulated COHORT [COHORT ...] --out OUT

The backgrounds are scans of people without known microbleeds, named CONTRAST_PERSON.nii.gz; people of :data:`HELD_OUT`
are left out. Each simulated cohort is a folder of `csvd phantom`. OUT/datalist.json has the section training alone:
validation is `--validation FOLDER ...`, cohorts whose scans are all taken.
"""

import argparse
import json
from fnmatch import fnmatch
from pathlib import Path

from scored import items_of

HELD_OUT = ("L01", "L19", "R571", "dcm-qa-me", "xa30")
"""People and phantoms that the detector is measured on."""
REAL = {
    "T2": (0.40, ("T2_fnndsc*", "T2_open-ms-data_L*")),
    "FLAIR and T1": (0.06, ("FLAIR_open-ms-data_L*", "T1_open-ms-data_L*")),
    "1 mm": (0.04, ("T2_open-ms-data_X*", "T1C_open-ms-data_X*", "FLAIR_open-ms-data_X*")),
    "EPI": (0.03, ("BOLD_*", "DWIB0_*", "GRE_dcm-qa-fmap*")),
}
"""Share of the patches, and file names, of the groups of real scans."""
SIMULATED = {"random": 0.24, "ukbb": 0.07, "shk": 0.08, "other": 0.03}
"""Share of the patches of simulated magnitude and SWI, by preset."""
QSM_SHARE = 0.05


def main() -> None:
    """Write the data list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backgrounds", type=Path, required=True)
    parser.add_argument("--simulated", type=Path, nargs="+", required=True)
    parser.add_argument("--validation", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    groups = real_scans(arguments.backgrounds)
    for item in (item for cohort in arguments.simulated for item in one_each(cohort)):
        preset = item["preset"] if item["preset"] in SIMULATED else "other"
        name, share = ("QSM", QSM_SHARE) if item["contrast"] == "bright" else (preset, SIMULATED[preset])
        groups.setdefault(name, (share, []))[1].append(item)
    training = []
    for name, (share, items) in groups.items():
        print(f"{name}: {len(items)} scans, {share:.0%} of the patches")
        training += [{**item, "weight": share / len(items)} for item in items]
    validation = [item for cohort in arguments.validation for item in one_each(cohort)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    sections = {"training": training, "validation": validation}
    (arguments.out / "datalist.json").write_text(json.dumps(sections, indent=1) + "\n")


def real_scans(folder: Path) -> dict[str, tuple[float, list[dict]]]:
    """Return share and items of each group of real scans."""
    groups: dict[str, tuple[float, list[dict]]] = {}
    for name, (share, patterns) in REAL.items():
        files = [path for path in sorted(folder.glob("*.nii.gz")) if any(fnmatch(path.name, p) for p in patterns)]
        files = [path for path in files if not any(person in path.name for person in HELD_OUT)]
        groups[name] = share, [{"image": str(path.resolve()), "contrast": "dark"} for path in files]
    return groups


def one_each(cohort: Path) -> list[dict]:
    """Return the items of a cohort: all QSM, and one kind of magnitude a subject, in turn."""
    items = items_of(cohort)
    chosen = []
    for number, subject in enumerate(sorted({item["subject"] for item in items})):
        own = [item for item in items if item["subject"] == subject]
        dark = [item for item in own if item["contrast"] == "dark"]
        chosen += [dark[number % len(dark)], *(item for item in own if item["contrast"] == "bright")]
    return chosen


if __name__ == "__main__":
    main()
