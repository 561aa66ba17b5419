"""The page on statistics: its lines of Python count what is in the tables."""

import re
import subprocess
from pathlib import Path

import pytest
from test_report_cohort import GOOD
from warm import python_m

from csvd.io import write_all_lesions, write_cohort_table, write_lesions, write_table
from csvd.lesions import Lesion, count_lesions

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
PEOPLE = {  # age, and lesions by region; the last of them is larger than 10 mm
    "sub-001": (52.5, []),
    "sub-002": (59.9, ["lobar", "deep", "lobar"]),
    "sub-003": (60.0, ["lobar", "lobar", "infratentorial"]),
    "sub-004": (71.0, ["deep", "deep", "n/a", "lobar"]),
    "sub-005": (88.0, None),
}


@pytest.fixture
def workplace(tmp_path):
    """Folder with ``cohort`` and ``results`` as the commands of the page make them; the scan of the oldest failed."""
    people = [{"participant_id": name, "age": age, "sex": "F"} for name, (age, _) in PEOPLE.items()]
    write_table(people, tmp_path / "cohort" / "participants.tsv")
    rows = []
    for name, (_, regions) in PEOPLE.items():
        row = {**GOOD, "case": f"{name}_swi", "subject": name}
        if regions is None:
            rows.append({**row, "status": "failed", "reason": "it is the patient's own, truncated"})
            continue
        lesions = [Lesion(n, 1.5, -2.5, 3, 1, 2, 3, 4, 2, 0.9, region, large=0) for n, region in enumerate(regions, 1)]
        if name == "sub-002":
            lesions[-1] = Lesion(**{**vars(lesions[-1]), "large": 1})
        write_lesions(lesions, tmp_path / f"{name}.tsv")
        rows.append({**row, "counts": count_lesions(lesions), "warnings": ['it is "thin"\n= 3 slices', "a\tb"]})
    write_cohort_table(rows, tmp_path / "results" / "cohort.tsv")
    write_all_lesions(rows, tmp_path / "results" / "lesions_all.tsv", lambda case: tmp_path / f"{case[:7]}.tsv")
    return tmp_path


def test_lines_of_python_count_microbleeds_by_age_and_region(workplace):
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (workplace / "page.py").write_text(code)
    done = subprocess.run(python_m("page.py"), cwd=workplace, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if re.search(r"\d", line)]
    assert [row[-3:] for row in rows[:3]] == [["2", "1", "1"], ["1", "2", "0"], ["1", "1", "2"]]
    assert [row[-2:] for row in rows[3:]] == [["1", "1"], ["2", "0"], ["1", "2"]]
