"""The page of a subtype: the slices that were left out, or why there is no subtype."""

import numpy as np
import pytest
from test_report_page import Elements, many, record

from csvd.report.subtype_page import _index, signed, subtype_page

EXPLANATION = {
    "attention": [0.1, 0.7, 0.15, 0.05],
    "middles_mm": [[31.5, 31.5, 2 + 5 * k] for k in range(4)],  # four slices of five of the scene
    "slices": [{"slice": 1, "change": -0.42}, {"slice": 2, "change": 0.031}],
    "change_without_all": -0.5,
    "change_without_others": None,
}


def page_of(**changes):
    told = {
        "subtype": "CAA",
        "reason": None,
        "probabilities": {"CAA": 0.7, "aSVD": 0.3},
        "covariates": {"age": None, "sex": "F"},
        "explanation": EXPLANATION,
        **changes,
    }
    scene = many(1)[1]
    return Elements(subtype_page(record([], **told), scene, np.zeros(scene.grey.shape)))


def test_each_slice_has_its_weight_and_the_change_without_it():
    text = " ".join(page_of().text.split())
    assert "weight 0.70, left out: \N{MINUS SIGN}0.42" in text
    assert "weight 0.15, left out: +0.03" in text
    assert (
        "All 2 left out: \N{MINUS SIGN}0.50. The same number of slices with the least attention left out: n/a." in text
    )


def test_slice_of_the_scan_that_has_the_microbleed_is_shown():
    scene = many(1)[1]
    (at,) = np.flatnonzero(scene.instances.any(axis=(0, 1)))
    assert at == 3  # not the middle of the first slice of the classifier, which is 2
    assert [_index(scene, EXPLANATION["middles_mm"], number) for number in range(4)] == [3, 7, 12, 17]


@pytest.mark.parametrize("height", [-0.4, 0.4])
def test_a_slice_just_below_0_has_no_minus(monkeypatch, height):
    monkeypatch.setattr("csvd.report.scene.Scene.slice_mm", lambda self, index: height)
    assert "z = 0 mm, weight 0.70" in " ".join(page_of().text.split())


def test_one_slice_of_the_classifier_has_a_picture():
    scene = many(0)[1]
    assert _index(scene, [[31.5, 31.5, 9]], 0) == 9


def test_page_without_a_subtype_says_why_and_shows_no_explanation():
    nothing = {"aSVD": None, "CAA": None}
    page = page_of(subtype=None, reason="no microbleed was found", probabilities=nothing, explanation=None)
    text = " ".join(page.text.split())
    assert "Subtype not applicable: no microbleed was found." in text
    assert "Grad-CAM++, and" not in text
    assert "Likeliest" not in text
    assert text.count("n/a") >= 2


@pytest.mark.parametrize(("change", "shown"), [(0.0, "+0.00"), (-0.125, "\N{MINUS SIGN}0.12"), (None, "n/a")])
def test_changes_have_a_sign(change, shown):
    assert signed(change) == shown
