"""Small inputs that users of this field really meet: what csvd makes of each, and whether that is right.

Runs scripts that write such inputs (folder CASES, with a README.md that says what is right), then csvd on what they
wrote, and prints a row an input. Right means: the lesions of the clean scan, at their places and with their volumes; or
one line that names the file; with a warning where one is due. Exit code 1 where something is not right.

    python benchmarks/cases.py ../shared/cases --t2 ../shared/data/open-ms-raw-t1-t2-flair/patient01_study1_T2W.nii.gz
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial.distance import cdist

from csvd.bundles import find_bundle
from csvd.checks import InputError
from csvd.io import read_layout
from csvd.phantom import write_cohort
from csvd.workflows.detection import detect
from csvd.workflows.gate import sort_study

WITHIN_MM, WITHIN_VOLUME = 0.5, 0.02
LEAST_TPR = 0.5  # of the evaluation; 0 where labels lie elsewhere
PHANTOM = {"phenotype": "CAA", "lesions": 12, "split": (0, 0, 1), "jobs": 1}


@dataclass(frozen=True)
class Rule:
    """What is right for the inputs of a script.

    Attributes:
        clean: must give the lesions of the clean scan; else a refusal by name is right too.
        read: must be read; how many lesions are found is not checked.
        refused: must be refused.
        warned: must have a warning, by name of the input, with a word of it.
        quiet: must have no warning that the clean scan has not.
    """

    clean: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    warned: dict[str, str] = field(default_factory=dict)
    quiet: tuple[str, ...] = ()


FOLDERS = {
    "01": Rule(clean=("a", "b", "c"), warned={"b": "qform"}, quiet=("a", "c")),
    "02": Rule(clean=("LPS", "SRP", "PIR", "LAS", "ASL", "z83", "oblique", "z45")),
    "03": Rule(clean=("slope0", "slopenan", "slopesmall", "slopeinter", "int64", "float64", "tiny", "huge")),
    "04": Rule(
        clean=("big", "big2", "nifti2", "d4one", "d5", "dim4zero", "dim5one", "ext", "pixdim1"),
        read=("quatlong", "shear"),
        warned={"pixdim1": "qform"},
    ),
    "08": Rule(clean=("q1", "q1e7", "q1e6", "q1e4")),
    "09": Rule(
        clean=("padded", "members", "UPPER_SWI", "more"),
        refused=("notgz", "gzinnii", "badcrc", "cut", "cuttail", "empty", "rgb", "complex", "twice"),
    ),
    "11": Rule(read=("onecorner", "minmax", "bgminus1000", "lownoise", "tinynoise")),  # without a skull: other outlines
    "22": Rule(
        clean=("bom", "cut", "empty", "field_text", "list", "null", "nullti", "te_ms", "text"),
        warned=dict.fromkeys(("cut", "empty", "list"), "sidecar") | {"te_ms": "EchoTime", "text": "EchoTime"},
        quiet=("bom",),
    ),
    "29": Rule(clean=("a",), warned={"a": "qform"}),
}
"""Scripts that write one folder of scans."""

STUDIES = {
    "13": Rule(clean=("none", "good")),
    "14": Rule(),
    "15": Rule(warned={"study": "slices"}),
    "16": Rule(clean=("siemens", "syngo_mpr", "ge_swan", "philips", "philips_orig", "canon", "minimum_ip")),
    "17": Rule(
        clean=(
            "no_series_number",
            "study_uid_per_file",
            "series_uid_per_file",
            "one_series_uid",
            "instances_shuffled",
            "instances_all_one",
            "twice",
            "twice_new_uids",
            "Müller Søren 测试",
            "phase_in_comments",
        )
    ),
    "18": Rule(clean=("constant", "per_slice", "per_slice_siemens")),
    "19": Rule(clean=("sagittal", "coronal", "top_to_bottom", "bottom_to_top", "oblique")),
}
"""Scripts that write one DICOM study a folder."""


class Cases:
    """Runs csvd on the inputs of scripts.

    Args:
        scripts: folder of the scripts.
        out: folder of inputs and results.
        t2: a T2-weighted scan.
    """

    def __init__(self, scripts: Path, out: Path, t2: Path, jobs: int) -> None:
        self.scripts, self.out, self.t2, self.jobs = scripts, out, t2, jobs
        self.bundle = find_bundle("cmb_detection")
        if not (out / "rich").exists():
            write_cohort("ukbb", 1, out / "rich", 5, **PHANTOM)
        self.base = out / "rich" / "sub-001"
        [row] = detect(self.base / "sub-001_swi.nii.gz", out / "clean", self.bundle, overwrite=True)
        self.warnings = set(row["warnings"])
        self.points, self.volumes, self.signs = self.found(out / "clean", "sub-001_swi")

    def inputs(self, number: str) -> Path:
        """Run a script and return the folder that it wrote."""
        folder = self.out / "inputs" / number
        if not folder.exists():
            [script] = self.scripts.glob(f"{number}_*.py")
            environment = os.environ | {"BASE": str(self.base), "T2": str(self.t2)}
            subprocess.run([sys.executable, script, folder], env=environment, check=True, stdout=subprocess.DEVNULL)
        return folder

    def detect(self, number: str, source: Path, name: str = "", **how) -> tuple[list[dict], Path]:
        """Return the rows of a source and the folder of its results."""
        out = self.out / "results" / number / name
        how = {"jobs": self.jobs, "overwrite": True} | how
        return detect(source, out, self.bundle, **how), out

    def found(self, out: Path, case: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return points (N, 3) in mm, volumes in mm3 and signs of susceptibility of a result."""
        with (out / case / f"{case}_lesions.tsv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        points = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows]).reshape(-1, 3)
        return points, np.array([float(row["volume_mm3"]) for row in rows]), [row["susceptibility"] for row in rows]

    def is_clean(self, out: Path, case: str, turned: np.ndarray | None = None) -> str:
        """Return what differs from the result of the clean scan, turned by a matrix (4, 4); empty if nothing does."""
        points, volumes, _ = self.found(out, case)
        truth = nib.affines.apply_affine(np.eye(4) if turned is None else turned, self.points)
        if len(points) != len(truth):
            return f"{len(points)} lesions, not {len(truth)}"
        apart = cdist(points, truth)
        nearest = apart.argmin(axis=1)
        if apart.min(axis=1).max() > WITHIN_MM or len({*nearest}) < len(truth):
            return f"lesions up to {apart.min(axis=1).max():.1f} mm away"
        change = np.abs(volumes / self.volumes[nearest] - 1).max()
        return "" if change <= WITHIN_VOLUME else f"a volume differs by {change:.0%}"

    def check(self, name: str, row: dict, out: Path, rule: Rule, turned: np.ndarray | None = None) -> tuple[bool, str]:
        """Return whether the row of an input is right, and what it says."""
        if row["status"] == "failed":
            reason = row["reason"]
            fine = "internal error" not in reason and "/tmp/csvd-" not in reason and len(reason.splitlines()) == 1
            return fine and name not in (*rule.clean, *rule.read), f"refused: {reason}"
        wrong = "" if name in rule.read else self.is_clean(out, row["case"], turned)
        new = [warning for warning in row["warnings"] if warning not in self.warnings]
        told = f"{wrong or 'clean'}; {len(new)} warnings: {'; '.join(new)}" if new else wrong or "clean"
        wanted = rule.warned.get(name)
        right = name not in rule.refused and (name not in rule.warned or any(wanted in one for one in new))
        right &= not (name in rule.quiet and new)
        return right and (not wrong or (bool(new) and name not in rule.clean)), told


def folder_of_scans(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of each scan of a folder."""
    folder = cases.inputs(number)
    rows, out = cases.detect(number, folder, any_sequence=number in ("03", "09", "11"))
    for row in rows:
        name = row["case"].removesuffix("_swi").removesuffix("_SWI") if row["case"] != "UPPER_SWI" else row["case"]
        yield name, *cases.check(name, row, out, FOLDERS[number], _matrix(folder / f"{name}.txt"))


def _matrix(path: Path) -> np.ndarray | None:
    """Return how a script turned a scan, (4, 4), None where it did not."""
    return np.loadtxt(path) if path.exists() else None


def folder_of_studies(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of each study."""
    for study in sorted(path for path in cases.inputs(number).iterdir() if path.is_dir()):
        rows, out = cases.detect(number, study, study.name, jobs=1, any_sequence=True)
        turned = _matrix(study.with_name(f"{study.name}.txt"))
        for row in rows:
            right, told = cases.check(study.name, row, out, STUDIES[number], turned)
            yield study.name, right and len(rows) == 1, told


def neighbours(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of scans beside one that fails: 05 and 07."""
    folder = cases.inputs(number)
    if number == "07":
        cases.detect(number, folder / "before", "R")
        rows, out = cases.detect(number, folder / "after", "R")
        for row in rows:
            yield row["case"], *cases.check(row["case"], row, out, Rule(clean=(row["case"],)))
        return
    for name in "ab":
        rows, out = cases.detect(number, folder / name, name)
        for row in rows:
            t2 = Rule(read=("3_x",), warned={"3_x": "looks like T2"})
            rule = t2 if row["case"] == "3_x" else Rule(clean=(row["case"],))
            yield f"{name}/{row['case']}", *cases.check(row["case"], row, out, rule)


def phases(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield whether the signs of susceptibility are those of phase in radians, or none with a warning: 10 and 30."""
    folder = cases.inputs(number)
    sources = sorted(path for path in folder.rglob("*_swi.nii.gz"))
    signs = {}
    for source in sources:
        [row], out = cases.detect(number, source, source.name.split("_")[0])
        _, _, signs[source.name.split("_")[0]] = (
            *cases.found(out, row["case"])[:2],
            (row, cases.found(out, row["case"])),
        )
    expected = signs["rad"][1][2]
    for name, (row, (_, _, found)) in signs.items():
        warned = any("phase" in warning for warning in row["warnings"])
        unknown = {*found} <= {"unclear", "n/a"}
        yield name, found == expected or (warned and unknown), f"{found.count('paramagnetic')} of {len(found)} para"


def labels(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what ``csvd evaluate detection`` says of labels and masks off the grid: 24."""
    rates = {}
    for cohort in sorted(cases.inputs(number).iterdir()):
        out = cases.out / "rates" / cohort.name
        command = [sys.executable, "-m", "csvd.cli", "evaluate", "detection", str(cohort), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        if cohort.name in ("right", "las"):
            done.check_returncode()
            rates[cohort.name] = json.loads((out / "rates.json").read_text())["cohorts"][0]["rates"]["distance"]
        else:
            lines = done.stderr.splitlines()
            yield cohort.name, done.returncode == 2 and len(lines) == 1 and "s_swi" in lines[0], done.stderr[-300:]
    right = rates["right"] == rates["las"] and rates["right"]["tpr"]["value"] > LEAST_TPR
    yield "right, las", right, f"TPR {[rate['tpr']['value'] for rate in rates.values()]}"


def names(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of file names that are hard to show: 23."""
    folder = cases.inputs(number)
    for place in sorted(folder.iterdir()):
        (place / "second_swi.nii.gz").write_bytes(b"no scan")
        command = [sys.executable, "-m", "csvd.cli", "detect", str(place), "--json", "--overwrite", "--out"]
        out = cases.out / "results" / number / place.name
        done = subprocess.run([*command, str(out)], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
        rows = json.loads(done.stdout) if done.returncode in (0, 1) else []
        right = [row["status"] for row in rows if "second" not in row["case"]] == ["ok"]
        table = (out / "cohort.tsv").exists()
        yield place.name, right and table and done.returncode == 1, f"{done.stderr.decode()[-200:]}"


def bids(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of a BIDS folder with a trouble a subject: 21."""
    [root] = cases.inputs(number).iterdir()
    rows, out = cases.detect(number, root)
    missing = ("sub-03", "sub-10")
    for row in rows:
        failed = row["case"].startswith(missing)
        rule = Rule(refused=(row["case"],)) if failed else Rule(clean=(row["case"],))
        if "MEGRE" in row["case"] or "T2starw" in row["case"] or "GRE" in row["case"]:
            fine = (row["status"] == "failed") == failed and "internal" not in row.get("reason", "")
            yield row["case"], fine, row.get("reason") or "; ".join(row["warnings"])
        else:
            yield row["case"], *cases.check(row["case"], row, out, rule)


def corrections(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what ``csvd datalist --layout slicer`` reads of corrections: 25."""
    folder = cases.inputs(number)
    for place in sorted(path for path in folder.iterdir() if path.name != "scans"):
        try:
            [[item]] = read_layout(place / "REVIEWED", "slicer", folder / "scans")
        except InputError as error:
            yield place.name, len(str(error).splitlines()) == 1, f"refused: {error}"
            continue
        points = len(item.get("points", ()))
        yield place.name, points in (0, len(_truth(cases.base))), f"{points} points" if points else "mask"


def masks(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what came of brain masks: 26."""
    for mask in sorted(cases.inputs(number).glob("*.nii.gz")):
        name = mask.name.removesuffix(".nii.gz")
        scan = cases.base / "sub-001_swi.nii.gz"
        [row], _ = cases.detect(number, scan, name, mask=mask)
        refused = name in ("half", "nan")
        fine = (row["status"] == "failed") == refused or name in ("las", "inverted", "minus")
        yield name, fine and "internal" not in row.get("reason", ""), row.get("reason", "read")


def sorted_studies(cases: Cases, number: str) -> Iterator[tuple[str, bool, str]]:
    """Yield what ``csvd sort`` calls the projections of script 16."""
    for study in sorted(cases.inputs("16").iterdir()):
        for row in sort_study(study, cases.bundle):
            told = "; ".join(row.found.remarks) if row.found else row.reason
            yield f"{study.name}: {row.name}", row.name.startswith("minip") == ("derived image" in told), told


def _truth(base: Path) -> list[str]:
    return (base / "sub-001_lesions.tsv").read_text().splitlines()[1:]


SPECIAL = {
    "05": neighbours,
    "07": neighbours,
    "10": phases,
    "21": bids,
    "23": names,
    "24": labels,
    "25": corrections,
    "26": masks,
    "30": phases,
}


def main() -> None:
    """Run the scripts and print a row an input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", type=Path, help="folder of the scripts")
    parser.add_argument("--t2", type=Path, required=True, help="a T2-weighted scan")
    parser.add_argument("--out", type=Path, default=Path("cases"), help="folder of inputs and results")
    parser.add_argument("--only", nargs="*", help="numbers of scripts; 'sort' is csvd sort on those of 16")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    cases = Cases(arguments.scripts, arguments.out, arguments.t2, arguments.jobs)
    ways = dict.fromkeys(FOLDERS, folder_of_scans) | dict.fromkeys(STUDIES, folder_of_studies) | SPECIAL
    ways |= {"sort": sorted_studies}
    wrong = 0
    for number in arguments.only or sorted(ways):
        for name, right, told in ways[number](cases, number):
            wrong += not right
            print(
                f"{number} {'right' if right else 'WRONG'} {name}: {told}".encode("ascii", "replace").decode(),
                flush=True,
            )
    print(f"{wrong} of the inputs are not right")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
