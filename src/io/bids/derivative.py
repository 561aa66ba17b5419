"""Results as a BIDS derivative: the files of the cases under the names that other BIDS tools know."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...checks import InputError
from ...lesions.limits import RESEARCH_USE
from ...lesions.table import LESION_COLUMNS
from ...names import shown
from ..cohort_table import write_cohort_table
from ..files import atomic_path, check_output, sync, write_text
from ..records import check_not_corrected
from ..tables import read_table, write_table
from .description import bids_uri, read_description, write_description
from .sidecars import bids_root

ENDINGS = {"_cmb.nii.gz": "_dseg.nii.gz", "_prob.nii.gz": "_probseg.nii.gz", "_lesions.tsv": "_dseg.tsv"} | {
    ".html": "_report.html",
    ".json": "_record.json",
}
"""Names of the files of a case in a derivative; others keep theirs. BIDS covers ``dseg`` and ``probseg``."""

LABEL = r"[^_/\\]*[^\W_][^_/\\]*"  # more than BIDS allows: what it does not is left out of the name of the result
NAME = re.compile(
    rf"(?P<source>(?P<sub>sub-{LABEL})(_(?P<ses>ses-{LABEL}))?(_(?!desc-)[^\W_]+-{LABEL})*)_(?P<suffix>[^\W_]+)"
)


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
    found = read_description(out)
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
    if earlier.exists():  # its results are replaced now
        earlier.unlink()
        sync(earlier.parent)
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
    write_description(out, source)
    write_cohort_table(rows, out / "cohort.tsv")
    _write_people(rows, out)


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
    return {} if root is None else {"Sources": [f"bids:raw:{bids_uri(image.absolute().relative_to(root))}"]}


def _write_json(content: Mapping[str, Any], target: Path, ending: str) -> None:
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", Path(f"{target}{ending}"))
