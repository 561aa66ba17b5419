"""Words of the user are text on all pages: they change no element, no attribute's name and no script."""

import numpy as np
import pytest
from jinja2 import UndefinedError
from test_report_cohort_page import FAILED, row
from test_report_page import Elements, many, record

from csvd.report.cohort_page import cohort_page
from csvd.report.environment import render
from csvd.report.page import page
from csvd.report.subtype_page import subtype_page

HARMLESS = "name"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style></title>\n& &amp; '",
    "{{ 7 * 7 }}",
]


def changed(words):
    """Record whose every text is ``words``."""
    texts = {"case": words, "warnings": [words], "notes": [words]}
    settings = {words: words, "list": [words], "mapping": {words: words}}
    return record([], **texts, settings=settings, input={"file": words}, versions={words: words})


def scan(words):
    return page(changed(words), *many(0))


def subtype(words):
    scene = many(0)[1]
    told = {"subtype": words, "reason": None, "probabilities": {words: 0.7, "other": 0.3}, "covariates": {"sex": words}}
    found = {"attention": [1.0], "middles_mm": [[30, 30, 9]], "slices": [{"slice": 0, "change": None}]}
    found |= {"change_without_all": None, "change_without_others": None}
    return subtype_page(changed(words) | told | {"explanation": found}, scene, np.zeros(scene.grey.shape))


def no_subtype(words):
    scene = many(0)[1]
    told = {"subtype": None, "reason": words, "probabilities": {words: None}, "covariates": {"sex": words}}
    return subtype_page(changed(words) | told | {"explanation": None}, scene, np.zeros(scene.grey.shape))


def cohort(words):
    good = row(1, warnings=[words]) | {"case": words, "contrast": words, "versions": {"csvd": words}}
    return cohort_page([good, FAILED | {"case": words, "reason": words}], words)


def shape(elements):
    """Names of the elements and of their attributes, in order."""
    return [(tag, *attributes) for tag, attributes in elements.seen]


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize(("make", "times"), [(scan, 12), (subtype, 16), (no_subtype, 15), (cohort, 11)])
def test_words_of_the_user_are_text(make, times, words):
    elements = Elements(make(words))
    assert shape(elements) == shape(Elements(make(HARMLESS)))
    assert elements.text.count(words) == times


def test_words_of_the_user_are_text_in_attributes():
    words = HOSTILE[1]
    values = [value for _, attributes in Elements(cohort(words)).seen for value in attributes.values()]
    assert words in values  # the reason of a failure is the title of its row
    assert f"intensity ({words}): histogram" in values


def test_missing_variable_of_a_template_is_an_error():
    with pytest.raises(UndefinedError, match="voxels"):
        render("viewer.html", planes=[], data={})
