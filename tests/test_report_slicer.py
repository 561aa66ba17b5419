"""Points for 3D Slicer: at the lesions, in LPS, with the words and values that its schema asks for."""

import json
from dataclasses import replace

import pytest

from csvd.io.slicer.points import write_markups
from csvd.lesions import Lesion

LESIONS = [
    Lesion(3, -12.5, 30.25, 41.0, 10, 20, 30, 20.0, 3.37, 0.914, "lobar", "left"),
    Lesion(7, 8.0, -4.0, -2.5, 11, 21, 31, 20.0, 2.5, 0.5),
]


@pytest.fixture
def markup(tmp_path):
    write_markups(LESIONS, tmp_path / "sub-01_lesions.mrk.json")
    content = json.loads((tmp_path / "sub-01_lesions.mrk.json").read_text())
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    (only,) = content["markups"]
    return only


def test_points_lie_at_the_lesions_in_lps(markup):
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    assert [point["position"] for point in markup["controlPoints"]] == [[12.5, -30.25, 41.0], [-8.0, 4.0, -2.5]]
    assert {point["positionStatus"] for point in markup["controlPoints"]} == {"defined"}


def test_points_carry_id_and_description(markup):
    first, second = markup["controlPoints"]
    assert (first["id"], first["label"], second["label"]) == ("3", "3", "7")
    assert first["description"] == "lobar, left; diameter 3.4 mm; probability 0.91"
    assert second["description"].startswith("region unknown; ")


def test_large_lesion_is_said_to_be_none(tmp_path):
    write_markups([replace(LESIONS[0], large=1)], tmp_path / "a.mrk.json")
    (point,) = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]["controlPoints"]
    assert "3.4 mm, larger than 10 mm: not a microbleed by definition; probability" in point["description"]


def test_list_is_named_after_its_case(markup):
    assert markup["name"] == "sub-01: suspected microbleeds, research use only"


def test_points_may_be_moved_deleted_and_added_under_other_names(markup):
    assert not markup["locked"]
    assert not markup["fixedNumberOfControlPoints"]
    assert not any(point["locked"] for point in markup["controlPoints"])
    assert markup["lastUsedControlPointNumber"] == 7


def test_no_lesion_is_a_list_without_points(tmp_path):
    write_markups([], tmp_path / "sub-01_lesions.mrk.json")
    (markup,) = json.loads((tmp_path / "sub-01_lesions.mrk.json").read_text())["markups"]
    assert markup["controlPoints"] == []
