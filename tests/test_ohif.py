"""The study of a real PACS in OHIF, in a browser: what csvd stored there is listed, and lies on the lesions.

``CSVD_SCREENSHOTS=docs python -m pytest tests/test_ohif.py`` also writes the picture of ``docs/ohif.md``.
"""

import re

import numpy as np
import pytest
from ohif import Viewer, browsing, ohif_dist, save_screenshot, serving
from served_study import CASE, LPS, STUDY, served  # noqa: F401

from csvd.io.tables import read_table

LOOKED_AT = 5
"""Lesions that are looked at, spread over the list: each takes the browser seconds."""
DARKER = 0.75
"""Most that a lesion has of the intensity around it."""
MEASURED = {"Volume": "volume_mm3", "Diameter": "diameter_mm", "Probability": "probability"}
"""Measurements of the report, and their columns in the table."""


@pytest.mark.integration
@pytest.mark.slow
def test_report_and_segmentation_of_the_pacs_open_in_ohif_and_lie_on_the_simulated_lesions(served):  # noqa: F811
    rows = read_table(served.results / CASE / f"{CASE}_lesions.tsv")
    found_lps = np.array([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in rows]) @ LPS[:3, :3]
    true_lps = np.array([[one[f"{axis}_mm"] for axis in "xyz"] for one in served.subject.lesions]) @ LPS[:3, :3]
    with serving(ohif_dist(), served.server.dicomweb) as address, browsing() as page:
        viewer = Viewer(page)
        viewer.open(f"{address}/viewer?StudyInstanceUIDs={STUDY}")
        viewer.load("SR")  # first, because OHIF 3.13 opens no report when a segmentation is open
        check_report(viewer, rows, found_lps)
        viewer.load("SEG")
        names = [text.split("\n")[-1] for text in viewer.segments()]
        assert names == [f"suspected microbleed {row['id']}" for row in rows]
        check_overlay(viewer, found_lps, true_lps)
        viewer.turn_upright()
        save_screenshot(page, "ohif")


def check_report(viewer, rows, found_lps):
    """OHIF reads each lesion's point and values as the table has them, though it shows them nowhere."""
    measured = {one["name"]: one for one in viewer.report()}
    assert len(measured) == len(rows)
    for row, point in zip(rows, found_lps, strict=True):
        one = measured[f"suspected microbleed {row['id']}"]
        np.testing.assert_allclose(one["point"], point, atol=0.01)
        for label, column in MEASURED.items():
            (value,) = re.match(r"([\d.]+)", one["labels"][label]).groups()
            assert float(value) == pytest.approx(float(row[column]), abs=0.006)


def check_overlay(viewer, found_lps, true_lps):
    """In the slice of a segment, its overlay lies on the simulated lesion, and under it the image is dark."""
    apart = np.linalg.norm(found_lps[:, None] - true_lps, axis=2)
    real = [number for number in range(len(apart)) if apart[number].min() < 2]
    assert len(real) >= 0.8 * len(apart)
    for number in real[:: len(real) // LOOKED_AT][:LOOKED_AT]:
        viewer.select_segment(number)
        plain, overlay = viewer.pixels()
        column, row = viewer.canvas_point(true_lps[apart[number].argmin()])
        scale = viewer.pixels_per_mm()
        from_truth = np.linalg.norm(np.moveaxis(np.indices(plain.shape), 0, -1) - (row, column), axis=2) / scale
        drawn = overlay & (from_truth < 5)
        assert drawn.sum() > 4, f"segment {number + 1}: nothing is drawn at its lesion"
        middle = np.argwhere(drawn).mean(axis=0)
        assert np.linalg.norm(middle - (row, column)) / scale < 1.2, f"segment {number + 1} is beside its lesion"
        around = np.median(plain[(from_truth > 4) & (from_truth < 7)])
        assert plain[drawn].mean() < DARKER * around, f"segment {number + 1} is not on a dark spot"
