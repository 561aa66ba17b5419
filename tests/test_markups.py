"""Markups of 3D Slicer that other programs changed are read, or refused by name."""

import json

import numpy as np
import pytest

from csvd.checks import InputError
from csvd.io.slicer.markups import read_markups

POINT = {"label": "a", "position": [1, 2, 3]}


def write(path, encoding="utf-8", **changed):
    markup = {"type": "Fiducial", "coordinateSystem": "RAS", "controlPoints": [POINT], **changed}
    path.write_text(json.dumps({"markups": [markup]}), encoding=encoding)
    return path


def test_byte_order_mark_does_not_matter(tmp_path):
    markups = read_markups(write(tmp_path / "a.mrk.json", encoding="utf-8-sig"))
    np.testing.assert_array_equal(markups.points, [[-1, -2, 3]])


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"coordinateSystem": ["RAS"]}, r"must have the coordinate system LPS or RAS, they have \['RAS'\]"),
        ({"coordinateSystem": None}, "must have the coordinate system LPS or RAS, they have None"),
        ({"controlPoints": [None]}, r"must have a list of points under 'controlPoints', they have \[None\]"),
        ({"controlPoints": "none"}, "must have a list of points under 'controlPoints', they have 'none'"),
        ({"controlPoints": [[1, 2, 3]], "type": "ROI"}, "must have a list of points under 'controlPoints'"),
        ({"controlPoints": [{"position": [1, 2, "3"]}]}, "the position of '1' must be 3 numbers"),
    ],
)
def test_what_is_no_markup_of_slicer_is_refused_by_name(tmp_path, changed, rule):
    with pytest.raises(InputError, match=f"markups '.*a.mrk.json'.* {rule}"):
        read_markups(write(tmp_path / "a.mrk.json", **changed))
