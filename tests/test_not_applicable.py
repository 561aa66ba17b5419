"""A scan without a microbleed gets no subtype: transform, table, screen."""

import csv
import json

import pytest
import torch

from csvd.cli.scans import _subtype_of
from csvd.io import write_subtypes
from csvd.transforms import NotApplicabled, lesion_chance

REASON = "no microbleed was found"
CLASSES = ("aSVD", "CAA", "CADASIL")


def answered(lesions):
    item = {"pred": torch.tensor([0.2, 0.5, 0.3]), "lesions": lesions}
    return NotApplicabled("pred")(item)


def test_without_a_microbleed_no_class_has_any_probability():
    out = answered(torch.zeros(1, 4, 4, 4))
    assert out["pred"].tolist() == [0, 0, 0, 1]
    assert REASON in out["reason"]


def test_one_voxel_of_a_microbleed_is_enough_for_the_classes():
    lesions = torch.zeros(1, 4, 4, 4)
    lesions[0, 1, 1, 1] = 0.6
    out = answered(lesions)
    assert out["pred"].tolist() == pytest.approx([0.2, 0.5, 0.3, 0])
    assert out["reason"] == ""


@pytest.mark.parametrize("place", [0, 4, 7])
def test_uncertain_microbleeds_are_enough_if_one_of_them_is_probably_true(place):
    lesions = torch.zeros(1, 9, 9, 9)
    lesions[0, place, 1, 1:3] = torch.tensor([0.2, 0.4])  # the highest of a cluster counts
    alone = answered(lesions)
    assert alone["pred"].tolist() == [0, 0, 0, 1]
    assert "the probability that at least one of them is real is 0.40" in alone["reason"]
    lesions[0, 2, 7, 7] = 0.3
    both = answered(lesions)  # 1 - 0.6 * 0.7
    assert both["reason"] == ""
    assert lesion_chance(lesions) == pytest.approx(0.58)


def row(case, subtype):
    values = [None] * 3 if subtype is None else [0.2, 0.5, 0.3]
    return {
        "case": case,
        "status": "ok",
        "reason": REASON if subtype is None else None,
        "subtype": subtype,
        "probabilities": dict(zip(CLASSES, values, strict=True)),
        "counts": {"total": 0 if subtype is None else 2},
        "covariates": {"age": 70.0, "sex": "F"},
        "warnings": [],
    }


def test_table_has_the_same_columns_for_everybody(tmp_path):
    everybody = {"other": row("b", "CAA"), "healthy": row("a", None)}
    for name, rows in {"healthy": [everybody["healthy"]], "both": everybody.values()}.items():
        write_subtypes(rows, tmp_path / f"{name}.tsv")
    (header, *_), (both, told, none) = (
        (tmp_path / f"{name}.tsv").read_text().splitlines() for name in ("healthy", "both")
    )
    assert header == both
    told, none = (dict(zip(both.split("\t"), line.split("\t"), strict=True)) for line in (told, none))
    assert (told["subtype"], told["reason"], told["p_CAA"]) == ("CAA", "n/a", "0.5")
    assert (none["status"], none["subtype"], none["reason"], none["p_CAA"]) == ("ok", "n/a", REASON, "n/a")


def test_every_column_of_the_table_is_in_its_dictionary(tmp_path):
    write_subtypes([row("a", "CAA"), row("b", None)], tmp_path / "cohort.tsv")
    columns = (tmp_path / "cohort.tsv").read_text().splitlines()[0].split("\t")
    dictionary = json.loads((tmp_path / "cohort.json").read_text())
    assert list(dictionary) == columns
    assert dictionary["p_CAA"] == {"LongName": "p CAA", "Description": "probability of CAA among the subtypes"}
    assert (dictionary["age"]["Units"], dictionary["sex"]["Levels"]["F"]) == ("year", "female")


def test_failed_scan_has_its_reason_in_the_same_column(tmp_path):
    failed = {"case": "c", "subject": None, "status": "failed", "reason": "it is no NIfTI"}
    write_subtypes([row("a", None), failed], tmp_path / "cohort.tsv")
    with (tmp_path / "cohort.tsv").open() as file:
        none, last = csv.DictReader(file, delimiter="\t")
    assert (none["reason"], last["reason"], last["subtype"]) == (REASON, "it is no NIfTI", "n/a")


def test_screen_says_why():
    assert _subtype_of(row("a", "CAA")) == "CAA 0.50"
    assert _subtype_of(row("a", None)) == f"subtype not applicable: {REASON}"
