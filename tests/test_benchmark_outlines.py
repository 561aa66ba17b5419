"""The benchmark of outlines: its truth is what is seen without noise, and ours is near to it."""

from dataclasses import replace

import pytest

from csvd.phantom import PROTOCOLS


@pytest.mark.slow
def test_outlines_of_simulated_lesions_have_the_size_that_is_seen(run, monkeypatch):
    coarse = replace(PROTOCOLS["ukbb"], voxel_mm=(1.6, 1.6, 3.0), matrix=None, fine_mm=1.6, radius_mm=3.0)
    monkeypatch.setitem(PROTOCOLS, "ukbb", coarse)
    rows = run("outlines", "--presets", "ukbb")
    for group in ("all: lesions", "image: swi", "image: mag", "image: qsm"):
        lesions, dice, ratio, diameter, longest, *_ = rows[group]
        assert int(lesions) > 30
        assert float(dice) >= 0.7
        assert 0.8 <= float(ratio.split()[0]) <= 1.25
        assert max(float(diameter), float(longest)) <= 0.8  # half a voxel
