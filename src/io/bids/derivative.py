"""Results as a BIDS derivative: the files of the cases under the names that other BIDS tools know."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ... import __version__
from ...checks import InputError
from ...lesions.limits import LIMITS, RESEARCH_USE
from ...lesions.table import LESION_COLUMNS
from ...names import shown
from ..cohort_table import COHORT_COLUMNS, write_cohort_table
from ..files import atomic_path, check_output, write_text
from ..records import check_not_corrected
from ..tables import read_table, write_table
from .sidecars import bids_root

BIDS_VERSION = "1.10.0"
ENDINGS = {"_cmb.nii.gz": "_dseg.nii.gz", "_prob.nii.gz": "_probseg.nii.gz", "_lesions.tsv": "_dseg.tsv"} | {
    ".html": "_report.html",
    ".json": "_record.json",
}
"""Names of the files of a case in a derivative; others keep theirs. BIDS covers ``dseg`` and ``probseg``."""

IGNORED = ("*_report.html", "*_record.json", "*_candidates.tsv", "*_lesions.mrk.json", "index.html", "cohort.*")
LABEL = r"[^_/\\]*[^\W_][^_/\\]*"  # more than BIDS allows: what it does not is left out of the name of the result
NAME = re.compile(
    rf"(?P<source>(?P<sub>sub-{LABEL})(_(?P<ses>ses-{LABEL}))?(_(?!desc-)[^\W_]+-{LABEL})*)_(?P<suffix>[^\W_]+)"
)
README = f"""# Suspected cerebral microbleeds

Made by csvd {__version__}. {RESEARCH_USE}

- `*_desc-cmb*_dseg.nii.gz`: instance map on the grid of the scan, one number a lesion; `_dseg.tsv`: its lesions
- `*_desc-cmb*_probseg.nii.gz`: probability of a microbleed
- `*_desc-cmb*_report.html`: pictures and table of a scan; `_record.json`: settings, counts, versions and warnings
- `*_desc-cmb*_candidates.tsv`: what was looked at, also what was not kept
- `cohort.tsv`: a row a scan, also those that failed, with the reason; `participants.tsv`: a row a participant

`desc` is `cmb` for a scan with the suffix `swi`; for others the suffix follows, as in `cmbT2starw`.

""" + "".join(f"- {limit}\n" for limit in LIMITS)  # fmt: skip


def derivative_path(out: Path, case: str, ending: str = "") -> Path:
    """Return where a file of a case lies: ``out/sub-01/ses-1/anat/sub-01_ses-1_desc-cmb<ending>``.

    Args:
        out: folder of the derivative.
        case: BIDS name of the scan without ``echo`` and ``part``, such as ``sub-01_ses-1_swi``. Scans that differ by
            suffix only must not share a name, so suffixes other than ``swi`` follow in ``desc``: ``desc-cmbT2starw``.
            Of its labels only letters and digits are kept, as BIDS has them.
        ending: of the file, with suffix.

    Raises:
        InputError: the case has no such name.
    """
    match = NAME.fullmatch(case)
    if match is None:
        raise InputError(
            f"scan '{case}' has no place in a BIDS derivative: its name must be like 'sub-01_ses-1_swi', without "
            "`desc`. Give a BIDS folder, or leave out --bids."
        )
    kind = "" if match["suffix"] == "swi" else match["suffix"]
    folders = [_clean(name) for name in (match["sub"], match["ses"]) if name]
    source = "_".join(_clean(pair) for pair in match["source"].split("_"))
    return out.joinpath(*folders, "anat", f"{source}_desc-cmb{kind}{ending}")


def _clean(pair: str) -> str:
    """Return an entity with a label of letters and digits alone: ``ses-baseline`` of ``ses-base line``."""
    name, _, label = pair.partition("-")
    return f"{name}-" + re.sub(r"[\W_]", "", label)


def check_derivative(out: Path, cases: Collection[str], overwrite: bool = False) -> None:
    """Check that the results of cases can be written into a derivative. Nothing is created.

    Raises:
        InputError: ``out`` cannot be written to, or is the data set of someone else; the only case has no BIDS name;
            two cases would have one; a case has results and ``overwrite`` is false.
    """
    check_output(out, ())
    if len(cases) == 1:
        derivative_path(out, *cases)
    written = {case: derivative_path(out, case, "_record.json") for case in cases if NAME.fullmatch(case)}
    taken: dict[str, str] = {}
    for case, path in written.items():
        other = taken.setdefault(str(path).casefold(), case)
        if other != case:
            raise InputError(
                f"scans '{other}' and '{case}' must have different names in a BIDS derivative, both are '{path.name}'. "
                "Rename one: labels of BIDS are letters and digits."
            )
    done = [path for path in written.values() if path.exists()]
    if done and not overwrite:
        more = f" and {len(done) - 1} more" if len(done) > 1 else ""
        raise InputError(
            f"output '{done[0]}'{more} exists already: give --overwrite to replace it, or choose another --out."
        )
    found = _description(out)
    makers = found.get("GeneratedBy")
    names = [made.get("Name") for made in makers if isinstance(made, dict)] if isinstance(makers, list) else []
    if found and "csvd" not in names:
        raise InputError(
            f"output '{out}' holds the data set '{found.get('Name')}', which csvd did not make: choose a folder of its "
            f"own, such as '{out / 'derivatives' / 'csvd'}'."
        )


def write_derivative(folder: Path, record: Mapping[str, Any], out: Path, image: Path) -> dict[str, Any]:
    """Move the results of a case from their folder, which goes, to their places in a derivative; the record comes last.

    Args:
        folder: what :class:`CaseWriter` wrote; named like the case.
        record: content of the JSON of the case.
        out: folder of the derivative.
        image: the scan, which the sidecars name as their source.

    Returns:
        The content of ``*_record.json``: where that file is, the results are complete.

    Raises:
        FileExistsError: a person corrected a result that is there.
    """
    case = folder.name
    target = derivative_path(out, case)
    earlier = derivative_path(out, case, "_record.json")
    check_not_corrected(earlier)
    target.parent.mkdir(parents=True, exist_ok=True)
    earlier.unlink(missing_ok=True)  # its results are replaced now
    digests = {_place_of(out, case, name).name: digest for name, digest in record["sha256"].items()}
    record = {**record, "sha256": digests}
    write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", folder / f"{case}.json")
    _write_lesions(folder / f"{case}_lesions.tsv")
    made = {**_sources(image), "SpatialReference": "orig", "Manual": False}
    described = {name: {"Description": words} for name, words in record["columns"].items() if name != "id"}
    _write_json({"Description": f"Suspected microbleeds. {RESEARCH_USE}", **made, **described}, target, "_dseg.json")
    _write_json({"Description": f"Probability of a microbleed. {RESEARCH_USE}", **made}, target, "_probseg.json")
    for path in sorted(folder.iterdir(), key=lambda path: path.name == f"{case}.json"):
        with atomic_path(_place_of(out, case, path.name)) as temporary:
            shutil.move(path, temporary)
    folder.rmdir()
    return record


def _place_of(out: Path, case: str, name: str) -> Path:
    """Return where a file lies that is called ``name`` in the folder of its case."""
    ending = name.removeprefix(case)
    return derivative_path(out, case, ENDINGS.get(ending, ending))


def write_dataset(rows: Sequence[Mapping[str, Any]], out: Path, source: Path) -> None:
    """Write what a derivative says of itself and of all its scans; replaces what an earlier run said.

    Args:
        rows: as :func:`write_cohort_table` takes them; of a case that failed there may be no file.
        out: folder of the derivative.
        source: BIDS folder of the scans.
    """
    out.mkdir(parents=True, exist_ok=True)
    raw = _uri(Path(os.path.relpath(source, out)))
    doi = _description(source).get("DatasetDOI")
    description = {
        "Name": "csvd: suspected cerebral microbleeds. Research use only.",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "csvd", "Version": __version__, "Description": "Detection of cerebral microbleeds"}],
        "SourceDatasets": [{"DOI": doi} if doi else {"URL": raw}],
        "DatasetLinks": {"raw": raw},
    }
    _write_json(description, out, "/dataset_description.json")
    write_text("\n".join(IGNORED) + "\n", out / ".bidsignore")
    write_text(README, out / "README.md")
    write_cohort_table(rows, out / "cohort.tsv")
    described = {name: {"Description": words} for name, words in COHORT_COLUMNS.items()}
    _write_json(described, out, "/cohort.json")
    _write_people(rows, out)


def source_of(out: Path) -> Path:
    """Return the BIDS folder that a derivative was made from."""
    links = _description(out).get("DatasetLinks")
    raw = links.get("raw") if isinstance(links, dict) else None
    return out / os.fsdecode(unquote_to_bytes(raw)) if isinstance(raw, str) else out


def _write_people(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    scans, failed = Counter[str](), Counter[str]()
    for row in rows:
        subject = shown(_clean(row["case"].split("_")[0]))
        scans[subject] += 1
        failed[subject] += row["status"] != "ok"
    people = [
        {"participant_id": subject, "n_scans": number, "n_failed": failed[subject]}
        for subject, number in sorted(scans.items())
    ]
    write_table(people, out / "participants.tsv", ("participant_id", "n_scans", "n_failed"))
    words = {"n_scans": "scans that were worked on", "n_failed": "of them without a result; cohort.tsv has the reasons"}
    described = {name: {"Description": text} for name, text in words.items()}
    _write_json({"Description": "Participants and their scans", **described}, out, "/participants.json")


def _write_lesions(path: Path) -> None:
    """Make the table of lesions a table of labels as BIDS has it: ``index`` and ``name`` first."""
    rows = read_table(path)
    columns = [name for name in LESION_COLUMNS if name != "id"]
    for row in rows:
        kind = "large lesion" if row["large"] == "1" else "microbleed"
        number = row.pop("id")
        row.update(index=number, name=f"{kind} {number}")
    write_table(rows, path, ["index", "name", *columns])


def _sources(image: Path) -> dict[str, list[str]]:
    root = bids_root(image)
    return {} if root is None else {"Sources": [f"bids:raw:{_uri(image.absolute().relative_to(root))}"]}


def _uri(path: Path) -> str:
    """Return a relative path as BIDS has it in texts, where ``#`` and ``%`` mean something else."""
    return quote(os.fsencode(path.as_posix()))


def _description(folder: Path) -> dict[str, Any]:
    path = folder / "dataset_description.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig", errors="replace")) if path.exists() else {}
    except (OSError, ValueError):
        found = {"Name": "unknown"}
    return found if isinstance(found, dict) else {"Name": "unknown"}


def _write_json(content: Mapping[str, Any], target: Path, ending: str) -> None:
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", Path(f"{target}{ending}"))
