"""What is found in real scans of people without known microbleeds, a row a scan, with a picture of each detection.

Looks through folders for NIfTI files and DICOM series whose names or tags speak of T2-weighted imaging, gradient echo,
EPI or SWI, and gives each to ``csvd detect``: what the sequence gate refuses once more with ``--any-sequence``. Nobody
marked these scans: what is found is taken as false, and a person has to look at the pictures.

    python benchmarks/real_scans.py SCANS BACKGROUNDS --sources BACKGROUNDS/SOURCES.tsv --held-out openms-L01 --out real
"""

import argparse
import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scored import add_detector, contrast_of, draw_sheet, read_found, run_detector, shown, table

from csvd.io import Case, read_sidecar, sequence_of_tags
from csvd.metrics.exact import exact_rate
from csvd.sequences import SUITABLE
from csvd.workflows.gate import find_series

SHOWN = ("T2", "GRE", "EPI", "SWI")
REFUSAL = "must be SWI, T2*-weighted or QSM"


@dataclass(frozen=True)
class Scan:
    """A real scan: its ``name``, where it came from, ``contrast``, and the person, where that is known."""

    name: str
    image: Path
    source: str
    contrast: str
    subject: str


def find_scans(folder: Path, workdir: Path, subjects: dict[str, str]) -> Iterator[Scan]:
    """Yield the scans under a folder that show what microbleeds are dark on, as links in ``workdir``."""
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "converted").mkdir(exist_ok=True)
    for case in (*find_series(folder, workdir / "converted"), *_others(folder, workdir / "converted")):
        if not isinstance(case, Case):
            continue
        tags = sequence_of_tags(read_sidecar(case.image)[0])
        contrast = contrast_of(case.name)
        if contrast not in SHOWN or (tags is not None and tags not in (*SUITABLE, "T2")):
            continue
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", re.sub(r"(\.nii)?(\.gz)?$", "", case.name)).strip("_.")
        ends = ".nii.gz" if case.image.name.endswith(".gz") else ".nii"
        link = workdir / f"{name}{ends}"
        for source, target in ((case.image, link), (_sidecar(case.image), _sidecar(link))):
            target.unlink(missing_ok=True)
            if source.exists():
                target.symlink_to(source.resolve())
        yield Scan(name, link, case.name, contrast, subjects.get(Path(case.name).name.split(".")[0], ""))


def _others(folder: Path, workdir: Path) -> Iterator[Case]:
    """Yield the FreeSurfer volumes under a folder, as NIfTI."""
    for path in sorted(folder.rglob("*.mgz")):
        target = workdir / f"{path.stem}.nii.gz"
        volume = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(volume.dataobj), volume.affine), target)
        yield Case(str(path.relative_to(folder)), target)


def _sidecar(image: Path) -> Path:
    return image.with_name(re.sub(r"\.nii(\.gz)?$", ".json", image.name))


def detect_all(arguments: argparse.Namespace, scans: list[Scan], out: Path) -> dict[str, str]:
    """Return what the gate said of each scan: nothing, "refused", or why the scan failed all the same."""
    said: dict[str, str] = {}
    for any_sequence in (False, True):
        left = [scan for scan in scans if said.get(scan.name, "refused") == "refused"]
        if not left:
            break
        listed = out / f"datalist_{'any' if any_sequence else 'gated'}.json"
        listed.write_text(json.dumps({"test": [{"image": str(scan.image.absolute())} for scan in left]}))
        for row in run_detector(arguments, listed, out / "results", any_sequence=any_sequence):
            if row["status"] == "failed":
                said[row["case"]] = "refused" if REFUSAL in row["reason"] else row["reason"]
            else:
                said[row["case"]] = "refused" if any_sequence else ""
    return said


def row_of(scan: Scan, out: Path, said: str, trained: bool) -> tuple[list[object], int]:
    """Return the row of a scan, and how many detections it has; draw them."""
    found = read_found(out / "results" / scan.name)
    voxel = " x ".join(f"{mm:.2f}" for mm in nib.affines.voxel_sizes(nib.load(scan.image).affine))
    count = int(found.kept.sum())
    if count:
        titles = [f"{scan.name[:30]} {probability:.2f}" for probability in found.probability[found.kept].tolist()]
        draw_sheet(scan.image, found.voxels[found.kept], titles, out / "pictures" / f"{scan.name}.png")
    highest = f"{found.probability.max():.2f}" if len(found.probability) else "< 0.01"
    person = [scan.subject, "yes" if trained else "no"]
    return [f"`{scan.source}`", scan.contrast, voxel, *person, said, count, highest], count


def main() -> None:
    """Print a row a scan, and the detections per scan by contrast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="searched with all below")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and pictures")
    parser.add_argument("--sources", type=Path, help="table (.tsv) with `name` and `subject` of the scans trained on")
    parser.add_argument("--held-out", nargs="*", default=(), help="subjects in that table whom no training saw")
    add_detector(parser)
    arguments = parser.parse_args()
    subjects: dict[str, str] = {}
    if arguments.sources:
        with arguments.sources.open(newline="", encoding="utf-8") as file:
            subjects = {row["name"]: row["subject"] for row in csv.DictReader(file, delimiter="\t")}
    scans = [
        scan
        for number, folder in enumerate(arguments.folders)
        for scan in find_scans(folder, arguments.out / f"scans_{number}", subjects)
    ]
    said = detect_all(arguments, scans, arguments.out)
    rows, counts = [], {}
    for scan in scans:
        trained = bool(scan.subject) and scan.subject not in arguments.held_out
        row, count = row_of(scan, arguments.out, said[scan.name], trained)
        rows.append(row)
        for group in ("all", scan.contrast, "in training" if trained else "not in training"):
            counts.setdefault(group, []).append(count)
    columns = ("scan", "contrast", "voxel, mm", "person", "in training", "gate", "detections", "highest probability")
    print(table(columns, rows))
    groups = ((name, len(n), sum(n), max(n), shown(exact_rate(sum(n), len(n)))) for name, n in sorted(counts.items()))
    print(table(("scans", "n", "detections", "most in a scan", "per scan"), groups))


if __name__ == "__main__":
    main()
