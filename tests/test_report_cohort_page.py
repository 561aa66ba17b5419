"""Page of a cohort and its quality flags: nothing is left out, and what is unlike the rest is found."""

import copy
import re
from html.parser import HTMLParser

import pytest

from csvd.anatomy.mars import MARS
from csvd.io import write_cohort_table
from csvd.lesions.quality import quality_flags, robust_z
from csvd.report import write_cohort_page
from csvd.report.cohort_page import cohort_page

ROW = {
    "case": "sub-01",
    "status": "ok",
    "contrast": "dark",
    "threshold": 0.4,
    "counts": {"total": 2, "lobar": 1, "deep": 1, "infratentorial": 0, "n/a": 0, "large": 0},
    "quality": {"mask_volume_ml": 1400.0, "median_intensity": 900.0},
    "mars": dict.fromkeys(MARS, 0),
    "burden": {"count_range": "2 to 4", "aria_h_range": "1 to 4", "pattern": "mixed"},
    "regions": {"method": "registration"},
    "warnings": [],
    "versions": {"csvd": "0.1.0"},
}


def row(number, total=2, volume=None, intensity=None, contrast="dark", warnings=()):
    """Return the row of a good scan; volumes and intensities differ a little from scan to scan."""
    one = copy.deepcopy(ROW) | {"case": f"sub-{number:02}", "contrast": contrast, "warnings": [*warnings]}
    one["counts"]["total"] = total
    one["quality"]["mask_volume_ml"] = 1400.0 + 20 * number if volume is None else volume
    one["quality"]["median_intensity"] = 900.0 + 5 * number if intensity is None else intensity
    return one


FAILED = {"case": "sub-99", "status": "failed", "reason": "scan 'a<b>.nii' is truncated"}


class Links(HTMLParser):
    """Collects the targets of links, and the tags."""

    def __init__(self):
        super().__init__()
        self.links, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


def parse(html):
    links = Links()
    links.feed(html)
    return links


def test_usual_cohort_has_no_flags():
    assert quality_flags([row(number, total=number % 4) for number in range(12)]) == [[]] * 12


@pytest.mark.parametrize(
    ("odd", "flag"),
    [
        ({"total": 40}, "outlier: lesion count"),
        ({"volume": 700.0}, "outlier: brain volume"),
        ({"volume": 2600.0}, "outlier: brain volume"),
        ({"intensity": 90.0}, "outlier: intensity (dark)"),
        ({"warnings": ["thick slices"]}, "warnings"),
    ],
)
def test_scan_unlike_the_others_is_flagged_alone(odd, flag):
    flags = quality_flags([row(9, **odd), *(row(number) for number in range(9)), FAILED])
    assert flags == [[flag], *[[]] * 9, ["failed"]]


def test_intensity_is_compared_among_scans_of_the_same_contrast():
    maps = [row(number, intensity=0.001 * number, contrast="bright") for number in range(6)]
    assert quality_flags([*(row(number) for number in range(9)), *maps]) == [[]] * 15


def test_score_is_the_distance_in_robust_deviations():
    assert robust_z([1, 2, 3, 4, 5]) == pytest.approx([-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 2 / 1.4826])
    assert robust_z([10.0] * 5 + [11.0])[-1] == pytest.approx(10)  # 1 % of the median at least
    assert robust_z([0.0] * 6) == [0] * 6


def test_few_microbleeds_among_none_are_chance():
    *_, five, six = robust_z([0] * 9 + [5, 6], counts=True)
    assert five < 3.5 < six


def test_small_cohort_has_no_outliers():
    assert quality_flags([row(0), row(1), row(2, volume=10.0)]) == [[]] * 3


def test_unknown_volume_is_no_outlier():
    rows = [row(number) for number in range(6)]
    rows[0]["quality"] = {"mask_volume_ml": None, "median_intensity": None}
    assert quality_flags(rows) == [[]] * 6


def test_flags_stand_in_the_table(tmp_path):
    rows = [row(9, total=40, warnings=["odd"]), *(row(number) for number in range(9))]
    write_cohort_table(rows, tmp_path / "cohort.tsv")
    lines = (tmp_path / "cohort.tsv").read_text().splitlines()
    assert "\twarnings; outlier: lesion count\t40\t" in lines[1]
    assert "\tnone\t2\t" in lines[2]


def test_page_links_to_each_case_and_nowhere_else(tmp_path):
    write_cohort_page([row(1), row(2), FAILED], tmp_path / "study")
    page = parse((tmp_path / "study" / "index.html").read_text())
    assert page.links == ["sub-01/sub-01.html", "sub-02/sub-02.html"]
    assert not {"img", "link", "iframe"} & set(page.tags)


def test_pages_may_lie_elsewhere():
    assert parse(cohort_page([row(1)], "study", lambda case: f"{case}/anat/a b.html")).links == [
        "sub-01/anat/a%20b.html"
    ]


def test_page_says_why_a_scan_is_to_be_looked_at():
    rows = [row(9, total=40, warnings=["slices <thick>"]), *(row(number) for number in range(9)), FAILED]
    html = cohort_page(rows, "study")
    assert "sub-99: failed, scan &#39;a&lt;b&gt;.nii&#39; is truncated" in html
    assert "slices &lt;thick&gt;; lesion count 40 is an outlier" in html
    assert html.count("Research use only") == 2


def test_large_lesions_are_told_and_not_counted():
    one = row(1)
    one["counts"]["large"] = 3
    html = cohort_page([one, row(2)], "study")
    assert "4 suspected microbleeds in 2 scans; 3 lesions larger than 10 mm, not counted" in html
    assert "<b>3</b><span>larger than 10 mm</span>" in html
    assert "larger than" not in cohort_page([row(2)], "study")


def test_bars_hold_every_scan():
    html = cohort_page([row(number, total=number) for number in range(40)], "study")
    for chart in html.split('<svg class="curve"')[1:]:
        bars = re.findall(r"<rect x=[^>]*><title>[^<]*: (\d+) scans?</title>", chart)
        assert sum(map(int, bars)) == 40


@pytest.mark.parametrize("rows", [[], [FAILED], [row(1)], [row(1), row(2, total=0)]])
def test_page_of_few_scans_is_whole(rows):
    html = cohort_page(rows, "study")
    assert html.count("<tr") == 1 + len(rows)
    assert ("Distributions" in html) == any(one["status"] == "ok" for one in rows)
